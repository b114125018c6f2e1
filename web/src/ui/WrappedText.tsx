import type { ReactNode } from 'react';

/** User-defined text in a cell, wrapped if it is too long for the column. */
export function WrappedText({ children }: { readonly children: ReactNode }) {
  return <span className="wrapped">{children}</span>;
}

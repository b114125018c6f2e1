import type { ReactNode } from 'react';

/** Text that somebody chose, in a cell: what is too long for the column goes on in the next line. */
export function Wrapped({ children }: { readonly children: ReactNode }) {
  return <span className="wrapped">{children}</span>;
}

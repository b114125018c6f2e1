import Link from '@cloudscape-design/components/link';
import type { ReactNode } from 'react';

import { useFollow } from '../lib/follow';

/** A link to a page of ours. */
export function PageLink({
  href,
  children,
}: {
  readonly href: string;
  readonly children: ReactNode;
}) {
  return (
    <Link href={href} onFollow={useFollow()}>
      {children}
    </Link>
  );
}

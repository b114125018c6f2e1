import { useEffect, useState } from 'react';

/**
 * The secret of a one-time link, which is never sent with the address; it leaves the history once
 * the page is on the screen. Before that, React may begin to render the page again.
 */
export function useLoginSecret(): string {
  const [secret] = useState(() => location.hash.slice(1));
  useEffect(() => {
    if (secret !== '') history.replaceState(null, '', location.pathname + location.search);
  }, [secret]);
  return secret;
}

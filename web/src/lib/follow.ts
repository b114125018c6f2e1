import { useCallback } from 'react';
import { useNavigate } from 'react-router';

interface Followed {
  readonly href?: string | undefined;
  readonly external?: boolean | undefined;
}

/** Lets a link of Cloudscape's lead to a page of ours without loading the application again. */
export function useFollow(): (
  event: CustomEvent<Followed> & { preventDefault: () => void },
) => void {
  const navigate = useNavigate();
  return useCallback(
    (event) => {
      const { href, external } = event.detail;
      if (external === true || href === undefined || !href.startsWith('/')) return;
      event.preventDefault();
      void navigate(href);
    },
    [navigate],
  );
}

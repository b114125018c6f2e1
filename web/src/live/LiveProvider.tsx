import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';

import { expectSession, followAddress } from '../api/client';
import { queries } from '../api/queries';
import { LiveConnection, type Liveness } from './connection';
import { LiveStore } from './store';

const Context = createContext<Liveness>('connecting');

/** Whether what is shown is kept up to date. */
export function useLiveness(): Liveness {
  return useContext(Context);
}

/**
 * Keeps the event connection for as long as it is on the page. What is in it reads only after the
 * newest event is known: so nothing that happens after a read is missed.
 */
export function LiveProvider({
  children,
  failed,
}: {
  readonly children: ReactNode;
  readonly failed: (error: Error, retry: () => void) => ReactNode;
}) {
  const client = useQueryClient();
  const { data: newest, error, refetch } = useQuery(queries.newestEvent);
  const me = useQuery(queries.me);
  const [liveness, setLiveness] = useState<Liveness>('connecting');
  useEffect(() => {
    if (newest === undefined) return;
    expectSession();
    const store = new LiveStore(client);
    const address = `${location.origin.replace(/^http/, 'ws')}/api/v1/ws`;
    const connection = new LiveConnection(address, newest, {
      heard: (events) => store.apply(events),
      changed: (now) => {
        setLiveness(now);
        if (now === 'live') store.resume();
        if (now === 'cut') followAddress();
      },
    });
    const wake = () => {
      if (document.visibilityState === 'visible') connection.open();
    };
    connection.open();
    window.addEventListener('online', wake);
    document.addEventListener('visibilitychange', wake);
    return () => {
      window.removeEventListener('online', wake);
      document.removeEventListener('visibilitychange', wake);
      connection.close();
    };
  }, [client, newest]);
  const refusal = error ?? (me.data === undefined ? me.error : null);
  const retry = () => {
    if (error !== null) void refetch();
    if (me.error !== null) void me.refetch();
  };
  if (refusal !== null) return failed(refusal, retry);
  return newest === undefined || me.data === undefined ? null : (
    <Context value={liveness}>{children}</Context>
  );
}

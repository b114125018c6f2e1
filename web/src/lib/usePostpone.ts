import { useMemo } from 'react';

import { actions } from '../api/actions';
import { useNotify } from '../ui/Notifications';
import type { Instance } from '../api/client';
import { t } from '../strings';
import { useExpiry } from './useExpiry';

const HOURS = 4;
const MINUTES = 120;

export interface Postponement {
  readonly text: string;
  readonly run: (instance: Instance) => Promise<void>;
}

/** The buttons that keep a workspace from being put to sleep: by its expiry, or by its idle rule. */
export function usePostpone(): Readonly<Record<'expiring' | 'idle', Postponement>> {
  const { notify, failed } = useNotify();
  const setExpiry = useExpiry();
  return useMemo(() => {
    const keepAwake = async ({ name, workspace }: Instance) => {
      try {
        await actions.keepAwake(workspace, MINUTES);
        notify({ type: 'success', header: t.idle.kept(name, MINUTES) });
      } catch (error) {
        failed(t.idle.notKept(name), error as Error);
      }
    };
    return {
      expiring: {
        text: t.expiry.later(HOURS),
        run: (instance: Instance) => setExpiry([instance], { hours: HOURS }),
      },
      idle: { text: t.idle.keepAwakeFor(MINUTES), run: keepAwake },
    };
  }, [notify, failed, setExpiry]);
}

import { useMemo } from 'react';

import { actions } from '../api/actions';
import { useNotify } from '../components/Notifications';
import { t } from '../strings';

const HOURS = 4;
const MINUTES = 120;

export interface Postponement {
  readonly text: string;
  readonly run: (name: string) => Promise<void>;
}

/** The buttons that keep a workspace from being put to sleep: by its expiry, or by its idle rule. */
export function usePostpone(): Readonly<Record<'expiring' | 'idle', Postponement>> {
  const { notify, failed } = useNotify();
  return useMemo(() => {
    const extend = async (name: string) => {
      try {
        await actions.extend(name, HOURS);
        notify({ type: 'success', header: t.extend.done(name, HOURS) });
      } catch (error) {
        failed(t.cannot('extend', [name]), error as Error);
      }
    };
    const keepAwake = async (name: string) => {
      try {
        await actions.keepAwake(name, MINUTES);
        notify({ type: 'success', header: t.idle.kept(name, MINUTES) });
      } catch (error) {
        failed(t.idle.notKept(name), error as Error);
      }
    };
    return {
      expiring: { text: t.extend.button(HOURS), run: extend },
      idle: { text: t.idle.keepAwakeFor(MINUTES), run: keepAwake },
    };
  }, [notify, failed]);
}

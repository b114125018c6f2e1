import { useCallback } from 'react';

import { actions, type Expiry } from '../api/actions';
import type { Instance } from '../api/client';
import { t } from '../strings';
import { moment } from './format';
import { type Task, useEach } from './useEach';

/** Changes when workspaces expire, says when they do now, and offers to take it back. */
export function useExpiry(): (list: readonly Instance[], expiry: Expiry) => Promise<void> {
  const each = useEach();
  return useCallback(
    async (list: readonly Instance[], expiry: Expiry) => {
      const before = new Map(list.map((it) => [it.workspace, it.expires_at]));
      const back = (workspace: string): Expiry => {
        const at = before.get(workspace) ?? null;
        return at === null ? { hours: null } : { expires_at: at };
      };
      const task = (id: string, wanted: (workspace: string) => Expiry): Task => {
        const after = new Map<string, string | null>();
        return {
          id,
          act: async ({ name, workspace }) => {
            await actions.setExpiry(workspace, wanted(workspace));
            after.set(name, (await actions.show(workspace)).expires_at);
          },
          done: (done) => {
            const times = new Set(done.map((name) => after.get(name) ?? null));
            const [only = null] = times;
            if (times.size > 1) return t.expiry.changed(done);
            return only === null ? t.expiry.never(done) : t.expiry.at(done, moment(only));
          },
          cannot: t.expiry.cannot,
        };
      };
      await each(list, {
        ...task('expiry', () => expiry),
        undo: (done) => void each(done, task('expiry back', back)),
      });
    },
    [each],
  );
}

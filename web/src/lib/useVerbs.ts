import { useCallback } from 'react';

import { actions, finished, LIFECYCLE, type Lifecycle } from '../api/actions';
import { useNotify } from '../components/Notifications';
import { t } from '../strings';
import { UNDO } from './states';

function isLifecycle(verb: string | undefined): verb is Lifecycle {
  return LIFECYCLE.some((it) => it === verb);
}

function isFinished(verb: Lifecycle): verb is keyof typeof finished {
  return verb in finished;
}

/** Does a lifecycle verb to workspaces, says so, and offers to take it back. */
export function useVerbs(): (verb: Lifecycle, names: readonly string[]) => Promise<void> {
  const { notify, failed } = useNotify();
  return useCallback(
    async function run(
      verb: Lifecycle,
      names: readonly string[],
      undone?: keyof typeof finished,
    ): Promise<void> {
      const results = await Promise.allSettled(
        names.map(async (name) => {
          // What is still under way cannot be taken back yet.
          if (undone !== undefined) await finished[undone](name);
          return actions[verb](name);
        }),
      );
      const done = names.filter((_, index) => results[index]?.status === 'fulfilled');
      results.forEach((result, index) => {
        if (result.status === 'rejected') {
          failed(t.cannot(verb, [names[index] ?? '']), result.reason as Error);
        }
      });
      if (done.length === 0) return;
      const back = UNDO[verb];
      const undo =
        isLifecycle(back) && isFinished(verb)
          ? { action: { text: t.undo, run: () => void run(back, done, verb) } }
          : {};
      notify({ type: 'success', header: t.started(verb, done), ...undo });
    },
    [notify, failed],
  );
}

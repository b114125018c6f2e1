import { useCallback } from 'react';

import { actions, finished, LIFECYCLE, type Lifecycle } from '../api/actions';
import { t } from '../strings';
import { UNDO } from './states';
import { type Target, useEach } from './useEach';

function isLifecycle(verb: string | undefined): verb is Lifecycle {
  return LIFECYCLE.some((it) => it === verb);
}

function isFinished(verb: Lifecycle): verb is keyof typeof finished {
  return verb in finished;
}

/** Does a lifecycle verb to workspaces, says so, and offers to take it back. */
export function useVerbs(): (verb: Lifecycle, targets: readonly Target[]) => Promise<void> {
  const each = useEach();
  return useCallback(
    async function run(
      verb: Lifecycle,
      targets: readonly Target[],
      undone?: keyof typeof finished,
    ): Promise<void> {
      const back = UNDO[verb];
      const undo =
        isLifecycle(back) && isFinished(verb)
          ? { undo: (done: readonly Target[]) => void run(back, done, verb) }
          : {};
      await each(targets, {
        id: verb,
        act: async ({ workspace }) => {
          // What is still under way cannot be taken back yet.
          if (undone !== undefined) await finished[undone](workspace);
          return actions[verb](workspace);
        },
        done: (done) => t.started(verb, done),
        cannot: (refused) => t.cannot(verb, refused),
        ...undo,
      });
    },
    [each],
  );
}

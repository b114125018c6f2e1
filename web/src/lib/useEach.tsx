import { useCallback } from 'react';

import { Failures, type Failure } from '../ui/Failures';
import { useNotify } from '../ui/Notifications';
import { t } from '../strings';

export interface Task {
  /** Names what is done, so that a second click does not do it again meanwhile. */
  readonly id: string;
  readonly act: (name: string) => Promise<unknown>;
  readonly done: (names: readonly string[]) => string;
  readonly cannot: (names: readonly string[]) => string;
  readonly undo?: (names: readonly string[]) => void;
}

const underWay = new Set<string>();

/**
 * Does something to each workspace, and tells the result in one notice for what was done and one
 * for what was refused, whose button tries that again. Returns the names of those done.
 */
export function useEach(): (names: readonly string[], task: Task) => Promise<readonly string[]> {
  const { notify } = useNotify();
  return useCallback(
    async function each(names: readonly string[], task: Task): Promise<readonly string[]> {
      const key = (name: string) => `${task.id} ${name}`;
      const fresh = names.filter((name) => !underWay.has(key(name)));
      const results = await Promise.allSettled(
        fresh.map(async (name) => {
          underWay.add(key(name));
          try {
            return await task.act(name);
          } finally {
            underWay.delete(key(name));
          }
        }),
      );
      const done = fresh.filter((_, index) => results[index]?.status === 'fulfilled');
      const failures = fresh.flatMap((name, index): Failure[] => {
        const result = results[index];
        return result?.status === 'rejected' ? [{ name, error: result.reason as Error }] : [];
      });
      if (failures.length > 0) {
        const refused = failures.map((failure) => failure.name);
        notify({
          type: 'error',
          header: t.refused(
            task.cannot(refused),
            failures[0]?.error.message ?? '',
            failures.length,
          ),
          content: <Failures failures={failures} />,
          action: { text: t.tryAgain, run: () => void each(refused, task) },
        });
      }
      if (done.length > 0) {
        const { undo } = task;
        const back = undo === undefined ? {} : { action: { text: t.undo, run: () => undo(done) } };
        notify({ type: 'success', header: task.done(done), ...back });
      }
      return done;
    },
    [notify],
  );
}

import { useCallback } from 'react';

import type { Instance } from '../api/client';
import { Failures, type Failure } from '../ui/Failures';
import { useNotify } from '../ui/Notifications';
import { t } from '../strings';

/** A workspace, by the id that requests use and the name that people read. */
export type Target = Pick<Instance, 'workspace' | 'name'>;

export interface Task {
  /** Names what is done, so that a second click does not do it again meanwhile. */
  readonly id: string;
  readonly act: (target: Target) => Promise<unknown>;
  readonly done: (names: readonly string[]) => string;
  readonly cannot: (names: readonly string[]) => string;
  readonly undo?: (done: readonly Target[]) => void;
}

const underWay = new Set<string>();

/**
 * Does something to each workspace, and tells the result in one notice for what was done and one
 * for what was refused, whose button tries that again. Returns those done.
 */
export function useEach(): (targets: readonly Target[], task: Task) => Promise<readonly Target[]> {
  const { notify } = useNotify();
  return useCallback(
    async function each(targets: readonly Target[], task: Task): Promise<readonly Target[]> {
      const key = ({ workspace }: Target) => `${task.id} ${workspace}`;
      const fresh = targets.filter((it) => !underWay.has(key(it)));
      const results = await Promise.allSettled(
        fresh.map(async (it) => {
          underWay.add(key(it));
          try {
            return await task.act(it);
          } finally {
            underWay.delete(key(it));
          }
        }),
      );
      const done = fresh.filter((_, index) => results[index]?.status === 'fulfilled');
      const failures = fresh.flatMap(({ name }, index): Failure[] => {
        const result = results[index];
        return result?.status === 'rejected' ? [{ name, error: result.reason as Error }] : [];
      });
      if (failures.length > 0) {
        const refused = fresh.filter((it) => !done.includes(it));
        notify({
          type: 'error',
          header: t.refused(
            task.cannot(refused.map(({ name }) => name)),
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
        notify({ type: 'success', header: task.done(done.map(({ name }) => name)), ...back });
      }
      return done;
    },
    [notify],
  );
}

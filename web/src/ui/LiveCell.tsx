import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useSyncExternalStore,
} from 'react';

import type { Instance } from '../api/client';
import { LiveRows } from '../live/rows';

export const Rows = createContext(new LiveRows());

/** A cell that follows its workspace: it is drawn again alone. */
export function LiveCell({
  instance,
  draw,
}: {
  /** The workspace as the table was given it. */
  readonly instance: Instance;
  readonly draw: (instance: Instance) => ReactNode;
}) {
  const rows = useContext(Rows);
  const { workspace } = instance;
  const follow = useCallback(
    (changed: () => void) => rows.follow(workspace, changed),
    [rows, workspace],
  );
  return draw(useSyncExternalStore(follow, () => rows.get(workspace)) ?? instance);
}

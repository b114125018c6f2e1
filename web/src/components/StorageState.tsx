import StatusIndicator from '@cloudscape-design/components/status-indicator';

import type { Schemas } from '../api/client';
import { lookOf } from '../lib/volumes';
import { t } from '../strings';

interface Props {
  readonly state: Schemas['VolumeState'] | Schemas['SnapshotState'];
  readonly problem: string | null;
  /** Whether no daemon serves it, so that its state is only the last known one. */
  readonly unreachable: boolean;
}

/** The state of a volume or a snapshot, and why it is not as it was requested. */
export function StorageState({ state, problem, unreachable }: Props) {
  return (
    <StatusIndicator type={unreachable ? 'warning' : lookOf(state)}>
      {t.storage.stateOf(unreachable ? t.unreachable : state, problem)}
    </StatusIndicator>
  );
}

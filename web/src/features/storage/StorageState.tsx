import Popover from '@cloudscape-design/components/popover';
import StatusIndicator from '@cloudscape-design/components/status-indicator';

import type { Schemas } from '../../api/client';
import { lookOf } from '../../lib/volumes';
import { t } from '../../strings';

interface Props {
  readonly state: Schemas['VolumeState'] | Schemas['SnapshotState'];
  readonly problem: string | null;
  /** Whether no daemon serves it, so that its state is only the last known one. */
  readonly unreachable: boolean;
}

/** The state of a volume or a snapshot, and why it is not as it was requested. */
export function StorageState({ state, problem, unreachable }: Props) {
  if (unreachable)
    return (
      <Popover header={t.workspace.unreachable} content={problem} dismissAriaLabel={t.close}>
        <StatusIndicator type="warning">{t.unreachable}</StatusIndicator>
      </Popover>
    );
  return (
    <StatusIndicator type={lookOf(state)}>{t.storage.stateOf(state, problem)}</StatusIndicator>
  );
}

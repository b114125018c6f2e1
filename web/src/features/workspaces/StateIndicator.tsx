import StatusIndicator from '@cloudscape-design/components/status-indicator';

import type { Instance } from '../../api/client';
import { isMoving, LOOK } from '../../lib/states';
import { t } from '../../strings';

/** A workspace's state; on its way it says how far it is. */
export function StateIndicator({ instance }: { readonly instance: Instance }) {
  const { state, stage, progress, failure } = instance;
  if (instance.unreachable != null)
    return <StatusIndicator type="warning">{t.unreachable}</StatusIndicator>;
  const far = isMoving(state) && progress > 0 && progress < 100 ? ` ${progress}%` : '';
  const at = isMoving(state) && stage !== null ? t.stageOf(stage) : '';
  const type = failure !== null && state !== 'failed' ? 'warning' : LOOK[state];
  return (
    <StatusIndicator type={type}>
      {t.states[state]}
      {far}
      {at}
    </StatusIndicator>
  );
}

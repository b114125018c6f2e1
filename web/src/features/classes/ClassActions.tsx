import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { lazy, Suspense, useState } from 'react';

import type { Instance } from '../../api/client';
import { classOf } from '../../lib/equivalentsOfClasses';
import { allows } from '../../lib/states';
import { useVerbs } from '../../lib/useVerbs';
import { t } from '../../strings';
import { AsCommand } from '../../ui/AsCommand';
import { rateOf } from './board';

const StartDialog = lazy(() => import('./StartDialog'));
const StopDialog = lazy(() => import('./StopDialog'));

/** What can be done to all workspaces that are shown. */
export function ClassActions({
  project,
  workspaces,
  reset,
}: {
  readonly project: string;
  readonly workspaces: readonly Instance[];
  readonly reset: (list: readonly Instance[]) => void;
}) {
  const run = useVerbs();
  const [stopping, setStopping] = useState(false);
  const [starting, setStarting] = useState(false);
  const asleep = workspaces.filter((it) => allows(it, 'start'));
  const isFree = rateOf(asleep) === 0;
  const awake = workspaces.filter((it) => allows(it, 'stop'));
  return (
    <SpaceBetween direction="horizontal" size="xs">
      <AsCommand equivalents={classOf(project)} />
      <ButtonDropdown
        disabled={workspaces.length === 0}
        items={[{ id: 'reset', text: t.classes.resetAll(workspaces.length) }]}
        onItemClick={() => reset(workspaces)}
      >
        {t.workspaces.actions}
      </ButtonDropdown>
      <Button disabled={awake.length === 0} onClick={() => setStopping(true)}>
        {t.classes.stopAll(awake.length)}
      </Button>
      <Button
        variant="primary"
        disabled={asleep.length === 0}
        onClick={() => (isFree ? void run('start', asleep) : setStarting(true))}
      >
        {t.classes.startAll(asleep.length, isFree)}
      </Button>
      {starting && (
        <Suspense>
          <StartDialog workspaces={asleep} close={() => setStarting(false)} />
        </Suspense>
      )}
      {stopping && (
        <Suspense>
          <StopDialog workspaces={awake} close={() => setStopping(false)} />
        </Suspense>
      )}
    </SpaceBetween>
  );
}

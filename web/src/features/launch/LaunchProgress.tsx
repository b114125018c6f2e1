import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { duration, relative } from '../../lib/format';
import { useNow } from '../../lib/now';
import { t } from '../../strings';
import { LogLines } from '../workspaces/LogLines';

/** The progress of a starting workspace, when it should be ready, and its log. */
export function LaunchProgress({ instance }: { readonly instance: Instance }) {
  const now = useNow();
  const { data: ready } = useQuery(queries.readyAt(instance.workspace));
  const { stage, state, progress } = instance;
  const since = (now - new Date(instance.launch_time).getTime()) / 1000;
  const expected =
    ready && state === 'launching'
      ? t.launchProgress.expected(relative(ready, now))
      : t.launchProgress.unknown;
  return (
    <Container header={<Header variant="h2">{t.launchProgress.title(instance.name)}</Header>}>
      <SpaceBetween size="m">
        <ProgressBar
          value={progress}
          label={stage === null ? t.states[state] : t.stage(stage)}
          description={
            state === 'launching' ? t.launchProgress.since(duration(since), expected) : expected
          }
        />
        <LogLines instance={instance} type="cloud-init" compact />
      </SpaceBetween>
    </Container>
  );
}

import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import { lazy, Suspense } from 'react';

import type { Instance } from '../../api/client';
import { t } from '../../strings';

const TerminalScreen = lazy(() => import('./TerminalScreen'));

/** The terminal of a workspace, while it runs. */
export function TerminalPanel({ instance }: { readonly instance: Instance }) {
  return (
    <Container header={<Header variant="h2">{t.workspace.tab.terminal}</Header>}>
      {instance.state === 'running' ? (
        <Suspense fallback={t.loading(t.workspace.tab.terminal)}>
          <TerminalScreen key={instance.workspace} instance={instance} />
        </Suspense>
      ) : (
        <Box color="text-body-secondary">{t.workspace.notRunning(t.states[instance.state])}</Box>
      )}
    </Container>
  );
}

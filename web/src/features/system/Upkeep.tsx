import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { lazy, Suspense, useState } from 'react';

import { t } from '../../strings';

const CleanDialog = lazy(() => import('./CleanDialog'));
const RecoverDialog = lazy(() => import('./RecoverDialog'));

/** Disk space to free, and machines without a workspace to take back. */
export function Upkeep() {
  const [open, setOpen] = useState<'clean' | 'recover' | null>(null);
  const close = () => setOpen(null);
  return (
    <Container
      header={
        <Header variant="h2" description={t.upkeep.what}>
          {t.upkeep.title}
        </Header>
      }
    >
      <SpaceBetween direction="horizontal" size="xs">
        <Button onClick={() => setOpen('clean')}>{t.upkeep.clean}</Button>
        <Button onClick={() => setOpen('recover')}>{t.upkeep.recover}</Button>
      </SpaceBetween>
      <Suspense>
        {open === 'clean' && <CleanDialog close={close} />}
        {open === 'recover' && <RecoverDialog close={close} />}
      </Suspense>
    </Container>
  );
}

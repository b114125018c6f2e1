import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { moment } from '../../lib/format';
import { isLocal } from '../../lib/providers';
import { useAccess } from '../../lib/services';
import { type SleepReason, sleepReason } from './sleepReason';
import { allows } from '../../lib/states';
import { useVerbs } from '../../lib/useVerbs';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';

/** Why a workspace does not run, since when, what that means, and the button that changes it. */
export function SleepStatus({ instance }: { readonly instance: Instance }) {
  const { name, state, workspace } = instance;
  const down = state === 'hibernated' || state === 'stopped';
  const idle = useQuery({ ...queries.idle(workspace), enabled: down });
  const sleep = useQuery({ ...queries.hibernation(workspace), enabled: down });
  const [opens, setOpens] = useState(false);
  const run = useVerbs();
  const service = useAccess(instance).data?.services[0];
  useEffect(() => {
    if (opens && service !== undefined) location.assign(service.href);
  }, [opens, service]);
  if (!down || instance.failure !== null) return null;
  const reason = sleepReason(instance, idle.data?.last ?? null);
  const since = sleep.data?.hibernation_time ?? reason.at;
  const verb = state === 'hibernated' ? 'resume' : 'start';
  const open = () => {
    setOpens(true);
    void run(verb, [instance]);
  };
  return (
    <Alert
      type="info"
      header={t.sleep.title(state, moment(since), wordsOf(reason))}
      action={
        allows(instance, verb) && (
          <Button variant="primary" loading={opens} onClick={open}>
            {t.sleep.open[verb]}
          </Button>
        )
      }
    >
      <SpaceBetween size="xxs">
        {t.sleep.kept(state, isLocal(instance), (instance.hourly_rate ?? 0) > 0)}
        {reason.kind === 'idle' && (
          <PageLink href={`/workspaces/${name}?tab=settings`}>{t.sleep.rule}</PageLink>
        )}
      </SpaceBetween>
    </Alert>
  );
}

function wordsOf(reason: SleepReason): string {
  switch (reason.kind) {
    case 'idle':
      return t.sleep.idle(reason.duration, reason.profile);
    case 'expired':
      return t.sleep.expired;
    case 'reason':
      return reason.text;
    case 'person':
      return t.sleep.by(reason.by);
    case 'unknown':
      return '';
  }
}

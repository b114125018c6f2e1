import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator, {
  type StatusIndicatorProps,
} from '@cloudscape-design/components/status-indicator';
import { memo } from 'react';

import { actions } from '../../api/actions';
import type { Instance } from '../../api/client';
import { useFollow } from '../../lib/follow';
import { moment } from '../../lib/format';
import { t } from '../../strings';
import { useNotify } from '../../ui/Notifications';
import type { Condition, Seat } from './board';

const LOOK: Record<Condition, StatusIndicatorProps.Type> = {
  failed: 'error',
  stuck: 'warning',
  absent: 'pending',
  unopened: 'not-started',
  idle: 'info',
  asleep: 'stopped',
  starting: 'in-progress',
  working: 'success',
};

/** How one person of a class is, and what can be done about it. */
export const ClassTile = memo(
  function ClassTile({
    seat,
    reset,
  }: {
    readonly seat: Seat;
    readonly reset: (instance: Instance) => void;
  }) {
    const { person, instance, condition, why, invitation } = seat;
    return (
      <SpaceBetween size="xxs">
        <SpaceBetween direction="horizontal" size="s" alignItems="center">
          <StatusIndicator type={LOOK[condition]}>
            {t.classes.conditions[condition]}
          </StatusIndicator>
          {instance !== null && <Ways instance={instance} reset={reset} />}
          {invitation !== null && <Reminder invitation={invitation} email={person} />}
        </SpaceBetween>
        {why !== null && (
          <Box variant="small" color="text-body-secondary">
            <span className="wrapped">{t.classes.why(why)}</span>
          </Box>
        )}
        {instance !== null && <Timing instance={instance} />}
      </SpaceBetween>
    );
  },
  (before, now) => {
    const [a, b] = [before.seat, now.seat];
    return (
      before.reset === now.reset &&
      a.instance === b.instance &&
      a.condition === b.condition &&
      a.why === b.why &&
      a.invitation === b.invitation
    );
  },
);

function Timing({ instance }: { readonly instance: Instance }) {
  const { state, expires_at: at, rolling_back: resetting } = instance;
  const text =
    resetting === true
      ? t.classes.resetting
      : state === 'running' && at !== null
        ? t.classes.stops(moment(at))
        : null;
  if (text === null) return null;
  return (
    <Box variant="small" color="text-body-secondary">
      {text}
    </Box>
  );
}

function Ways({
  instance,
  reset,
}: {
  readonly instance: Instance;
  readonly reset: (instance: Instance) => void;
}) {
  const follow = useFollow();
  return (
    <SpaceBetween direction="horizontal" size="s">
      <Button
        variant="inline-link"
        href={`/workspaces/${instance.name}?tab=logs`}
        ariaLabel={t.classes.logOf(instance.name)}
        onFollow={follow}
      >
        {t.classes.log}
      </Button>
      <Button
        variant="inline-link"
        ariaLabel={t.classes.resetOf(instance.name)}
        onClick={() => reset(instance)}
      >
        {t.classes.resetButton}
      </Button>
    </SpaceBetween>
  );
}

function Reminder({ invitation, email }: { readonly invitation: string; readonly email: string }) {
  const { notify, failed } = useNotify();
  const send = async () => {
    try {
      await actions.resend(invitation);
      notify({ type: 'success', header: t.invitations.resent(email) });
    } catch (error) {
      failed(t.invitations.resendOf(email), error as Error);
    }
  };
  return (
    <Button
      variant="inline-link"
      ariaLabel={t.invitations.resendOf(email)}
      onClick={() => void send()}
    >
      {t.invitations.resend}
    </Button>
  );
}

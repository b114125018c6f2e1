import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../api/actions';
import type { Schemas } from '../api/client';
import { ApiError } from '../api/errors';
import { queries } from '../api/queries';
import { ErrorAlert } from '../ui/ErrorAlert';
import { Loaded } from '../ui/Loaded';
import { t } from '../strings';
import { AloneOnPage, LoginPage } from './LoginPage';
import { useLoginSecret } from './loginSecret';

/** Where the mail of an invitation leads: the login, the answer, and on to a first workspace. */
export function InvitationPage({ id }: { readonly id: string }) {
  const ways = useQuery(queries.loginWays);
  const secret = useLoginSecret();
  const user = ways.data?.user ?? null;
  const isOut = ways.data?.shared === true && user === null;
  const invitation = useQuery({ ...queries.invitation(id), enabled: ways.isSuccess && !isOut });
  if (isOut) return <LoginPage secret={secret} />;
  const { error } = invitation;
  if (user !== null && error instanceof ApiError && error.status === 404) {
    // A link in the mail logs in its own person, whoever used this browser before.
    if (secret !== '') return <LoginPage secret={secret} />;
    return (
      <AloneOnPage title={t.invitations.title}>
        <Alert type="warning" action={<Button href="/logout">{t.login.out}</Button>}>
          {t.invitations.notYours(user)}
        </Alert>
      </AloneOnPage>
    );
  }
  return (
    <AloneOnPage title={t.invitations.title}>
      <Loaded query={invitation} what={t.invitations.title}>
        {(found) => <Answer invitation={found} />}
      </Loaded>
    </AloneOnPage>
  );
}

function Answer({ invitation }: { readonly invitation: Schemas['InvitationShown'] }) {
  const { id, invited_by, message, project_name, role, status } = invitation;
  const [error, setError] = useState<Error | null>(null);
  const [answer, setAnswer] = useState(status);
  const act = (call: Promise<{ status: Schemas['InvitationStatus'] }>) => {
    call.then((done) => setAnswer(done.status), setError);
  };
  if (answer === 'accepted') return <Next project={project_name} role={role} />;
  if (answer !== 'pending') {
    return <Alert type="info">{t.invitations.ended(t.invitations.statuses[answer])}</Alert>;
  }
  return (
    <SpaceBetween size="l">
      {error !== null && <ErrorAlert error={error} />}
      <Box>{t.invitations.you(invited_by, project_name, t.roles[role])}</Box>
      {message !== '' && <Box variant="p">{message}</Box>}
      <SpaceBetween direction="horizontal" size="xs">
        <Button variant="primary" onClick={() => act(actions.acceptInvitation(id))}>
          {t.invitations.accept}
        </Button>
        <Button onClick={() => act(actions.declineInvitation(id, ''))}>
          {t.invitations.decline}
        </Button>
      </SpaceBetween>
    </SpaceBetween>
  );
}

/** What a new member can do: a viewer only looks. */
function Next({ project, role }: { readonly project: string; readonly role: Schemas['Role'] }) {
  const name = encodeURIComponent(project);
  return (
    <SpaceBetween size="l">
      <Alert type="success">{t.invitations.joined(project)}</Alert>
      <SpaceBetween direction="horizontal" size="xs">
        {role !== 'viewer' && (
          <Button variant="primary" href={`/launch?project=${name}`}>
            {t.invitations.launch}
          </Button>
        )}
        <Button href={`/projects/${name}`}>{t.invitations.toProject}</Button>
      </SpaceBetween>
    </SpaceBetween>
  );
}

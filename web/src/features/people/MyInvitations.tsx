import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { useNotify } from '../../ui/Notifications';
import { RelativeTime } from '../../ui/RelativeTime';

/** Invitations that wait for an answer of whoever looks at the page. */
export function MyInvitations() {
  const { data } = useQuery(queries.myInvitations);
  return (
    <SpaceBetween size="s">
      {(data?.invitations ?? []).map((it) => (
        <Invitation key={it.id} it={it} />
      ))}
    </SpaceBetween>
  );
}

function Invitation({ it }: { readonly it: Schemas['ListedInvitation'] }) {
  const { notify, failed } = useNotify();
  const accept = async () => {
    try {
      const { message } = await actions.acceptInvitation(it.id);
      notify({ type: 'success', header: message });
    } catch (error) {
      failed(t.invitations.accept, error as Error);
    }
  };
  return (
    <Alert
      header={t.invitations.you(it.invited_by, it.project_name, t.roles[it.role])}
      action={
        <SpaceBetween direction="horizontal" size="xs">
          <DialogButton
            text={t.invitations.decline}
            label={t.invitations.declineOf(it.project_name)}
            button={t.invitations.decline}
            fields={[{ id: 'reason', label: t.money.reason, optional: true }]}
            act={({ reason = '' }) => actions.declineInvitation(it.id, reason)}
          />
          <Button onClick={() => void accept()}>{t.invitations.accept}</Button>
        </SpaceBetween>
      }
    >
      <div>{it.message}</div>
      <div>
        {t.invitations.until} <RelativeTime at={it.expires_at} />
      </div>
    </Alert>
  );
}

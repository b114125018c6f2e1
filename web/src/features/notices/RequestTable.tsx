import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { noticeActions } from '../../api/noticeActions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { useNotify } from '../../ui/Notifications';
import { RelativeTime } from '../../ui/RelativeTime';
import { MoreButton } from './MoreButton';

type Request = Schemas['MoreRequestShown'];

/** Requests for more: the person's own, and those that this person may answer with one click. */
export function RequestTable({ requests }: { readonly requests: readonly Request[] }) {
  return (
    <ListTable<Request>
      title={t.requests.title}
      what={t.requests.what}
      items={requests}
      by="id"
      empty={t.requests.none}
      actions={<MoreButton />}
      columns={[
        {
          id: 'summary',
          header: t.requests.requested,
          isRowHeader: true,
          minWidth: 160,
          cell: (it) => it.summary,
        },
        { id: 'person', header: t.requests.person, cell: (it) => it.person },
        { id: 'reason', header: t.money.reason, cell: (it) => it.reason },
        { id: 'made', header: t.inbox.when, cell: (it) => <RelativeTime at={it.made_at} /> },
        { id: 'state', header: t.inbox.state, cell: (it) => stateOf(it) },
        { id: 'actions', header: t.workspaces.actions, cell: (it) => <Answers it={it} /> },
      ]}
    />
  );
}

function stateOf(it: Request): string {
  if (it.state === 'pending') return t.requests.waits[it.decider];
  const by = t.requests.states[it.state](it.decided_by ?? '');
  return it.answer === '' ? by : `${by}: ${it.answer}`;
}

function Answers({ it }: { readonly it: Request }) {
  const { notify, failed } = useNotify();
  if (it.state !== 'pending') return null;
  const act = async (doing: string, call: Promise<Request>) => {
    try {
      await call;
      notify({ type: 'success', header: `${doing}: ${it.summary}` });
    } catch (error) {
      failed(doing, error as Error);
    }
  };
  if (!it.may_decide) {
    return (
      <Button
        ariaLabel={t.requests.withdrawOf(it.summary)}
        onClick={() => void act(t.requests.withdraw, noticeActions.withdrawRequest(it.id))}
      >
        {t.requests.withdraw}
      </Button>
    );
  }
  return (
    <SpaceBetween direction="horizontal" size="xs">
      <Button
        ariaLabel={t.requests.grantOf(it.summary, it.person)}
        onClick={() => void act(t.requests.grant, noticeActions.grantRequest(it.id))}
      >
        {t.requests.grant}
      </Button>
      <DialogButton
        text={t.requests.refuse}
        label={t.requests.refuseOf(it.summary, it.person)}
        button={t.requests.refuse}
        fields={[{ id: 'reason', label: t.money.reason, optional: true }]}
        act={({ reason = '' }) => noticeActions.refuseRequest(it.id, reason)}
      />
    </SpaceBetween>
  );
}

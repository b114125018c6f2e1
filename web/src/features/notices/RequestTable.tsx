import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { noticeActions } from '../../api/noticeActions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { FormDialog } from '../../ui/FormDialog';
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
        {
          id: 'actions',
          header: t.workspaces.actions,
          minWidth: 260,
          cell: (it) => <Answers it={it} />,
        },
      ]}
    />
  );
}

function stateOf(it: Request): string {
  if (it.state === 'pending') return t.requests.waits[it.decider];
  const by = t.requests.states[it.state](it.decided_by ?? '');
  return it.answer === '' ? by : `${by}: ${it.answer}`;
}

/** One click answers; only a reason takes a form. */
function Answers({ it }: { readonly it: Request }) {
  const { notify, failed } = useNotify();
  const [busy, setBusy] = useState(false);
  const [explaining, setExplaining] = useState(false);
  if (it.state !== 'pending') return null;
  const act = async (doing: string, call: () => Promise<Request>) => {
    setBusy(true);
    try {
      await call();
      notify({ type: 'success', header: `${doing}: ${it.summary}` });
    } catch (error) {
      failed(doing, error as Error);
    }
    setBusy(false);
  };
  if (!it.may_decide) {
    return (
      <Button
        ariaLabel={t.requests.withdrawOf(it.summary)}
        disabled={busy}
        onClick={() => void act(t.requests.withdraw, () => noticeActions.withdrawRequest(it.id))}
      >
        {t.requests.withdraw}
      </Button>
    );
  }
  return (
    <SpaceBetween direction="horizontal" size="xs">
      <Button
        ariaLabel={t.requests.grantOf(it.summary, it.person)}
        disabled={busy}
        onClick={() => void act(t.requests.grant, () => noticeActions.grantRequest(it.id))}
      >
        {t.requests.grant}
      </Button>
      <ButtonDropdown
        mainAction={{
          text: t.requests.refuse,
          ariaLabel: t.requests.refuseOf(it.summary, it.person),
          disabled: busy,
          onClick: () => void act(t.requests.refuse, () => noticeActions.refuseRequest(it.id, '')),
        }}
        ariaLabel={t.requests.refuseMore(it.summary, it.person)}
        expandToViewport
        items={[{ id: 'explain', text: `${t.requests.explain}…` }]}
        onItemClick={() => setExplaining(true)}
      />
      {explaining && (
        <FormDialog
          title={t.requests.refuseOf(it.summary, it.person)}
          button={t.requests.refuse}
          fields={[{ id: 'reason', label: t.money.reason }]}
          act={({ reason = '' }) => noticeActions.refuseRequest(it.id, reason)}
          close={() => setExplaining(false)}
        />
      )}
    </SpaceBetween>
  );
}

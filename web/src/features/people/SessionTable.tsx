import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { useMe } from '../../lib/me';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { Loaded } from '../../ui/Loaded';
import { useNotify } from '../../ui/Notifications';
import { RelativeTime } from '../../ui/RelativeTime';

type Session = Schemas['SessionShown'];

/** Who is logged in with a browser, and how to end it: the operator sees everybody. */
export function SessionTable() {
  const query = useQuery(queries.sessions);
  const me = useMe();
  const { notify, failed } = useNotify();
  const act = async (what: string, call: Promise<Schemas['EndedSessions']>) => {
    try {
      const { message } = await call;
      notify({ type: 'success', header: message });
    } catch (error) {
      failed(what, error as Error);
    }
  };
  const endAll = (
    <SpaceBetween direction="horizontal" size="xs">
      {me?.operator === true && <NewLoginLink />}
      <Button onClick={() => void act(t.sessions.endAll, actions.endSessions())}>
        {t.sessions.endAll}
      </Button>
    </SpaceBetween>
  );
  return (
    <Loaded query={query} what={t.sessions.title}>
      {(sessions) => (
        <ListTable<Session>
          title={t.sessions.title}
          what={t.sessions.what}
          items={sessions}
          by="id"
          empty={t.sessions.none}
          actions={endAll}
          columns={[
            {
              id: 'browser',
              header: t.sessions.browser,
              isRowHeader: true,
              cell: (it) => (it.current ? t.sessions.thisOne(it.browser) : it.browser),
            },
            { id: 'user', header: t.tokens.user, cell: (it) => it.user },
            { id: 'address', header: t.sessions.address, cell: (it) => it.address },
            { id: 'by', header: t.sessions.method, cell: (it) => t.sessions.methods[it.method] },
            {
              id: 'since',
              header: t.sessions.since,
              cell: (it) => <RelativeTime at={it.created_at} />,
            },
            { id: 'used', header: t.tokens.used, cell: (it) => <RelativeTime at={it.last_used} /> },
            {
              id: 'actions',
              header: t.workspaces.actions,
              cell: (it) => (
                <Button
                  ariaLabel={t.sessions.endOf(it.browser, it.user)}
                  onClick={() => void act(t.sessions.end, actions.endSession(it.id))}
                >
                  {t.sessions.end}
                </Button>
              ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}

/** A link for a person to log in; it is shown in a notice, once. */
function NewLoginLink() {
  const { notify } = useNotify();
  return (
    <DialogButton
      text={t.sessions.newLink}
      button={t.money.create}
      fields={[
        { id: 'user', label: t.tokens.user, kind: 'email' },
        { id: 'minutes', label: t.sessions.minutes, kind: 'number', value: '60' },
      ]}
      act={async ({ user = '', minutes = '60' }) => {
        const link = await actions.createLoginLink({ user, minutes: Number(minutes) });
        notify({ type: 'warning', header: t.sessions.linkFor(link.user), content: link.url ?? '' });
      }}
    />
  );
}

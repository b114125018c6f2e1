import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { ListTable, nameColumn } from '../../ui/ListTable';
import { Loaded } from '../../ui/Loaded';
import { PageLink } from '../../ui/PageLink';
import { RelativeTime } from '../../ui/RelativeTime';
import { guestOf, thingOf } from './shares';

type Share = Schemas['ShareShown'];
const LOOK_AGAIN = 30_000; // milliseconds: a guest does not see the events of others' workspaces

/** What others share with you, and what you share. */
export default function Shared() {
  const query = useQuery({ ...queries.shares, refetchInterval: LOOK_AGAIN });
  const [error, setError] = useState<Error | null>(null);
  return (
    <ContentLayout header={<Header variant="h1">{t.pages.shared}</Header>}>
      <Loaded query={query} what={t.pages.shared}>
        {({ given, received }) => (
          <SpaceBetween size="l">
            {error !== null && <ErrorAlert error={error} />}
            <ListTable<Share>
              title={t.sharing.received}
              items={received}
              by="id"
              empty={t.sharing.nothingReceived}
              columns={[
                nameColumn(),
                {
                  id: 'open',
                  header: t.workspaces.actions,
                  cell: (it) => <OpenShare share={it} fail={setError} />,
                },
                { id: 'what', header: t.sharing.thing, cell: thingOf },
                { id: 'owner', header: t.fields.owner, cell: (it) => it.owner },
                {
                  id: 'state',
                  header: t.fields.state,
                  cell: (it) => t.states[it.state as keyof typeof t.states],
                },
                {
                  id: 'until',
                  header: t.sharing.until,
                  cell: (it) => <RelativeTime at={it.until} />,
                },
              ]}
            />
            <ListTable<Share>
              title={t.sharing.given}
              items={given}
              by="id"
              empty={t.sharing.nothingGiven}
              columns={[
                nameColumn((it) => (
                  <PageLink href={`/workspaces/${it.workspace}?tab=sharing`}>{it.name}</PageLink>
                )),
                { id: 'what', header: t.sharing.thing, cell: thingOf },
                { id: 'with', header: t.sharing.guest, cell: guestOf },
                {
                  id: 'until',
                  header: t.sharing.until,
                  cell: (it) => <RelativeTime at={it.until} />,
                },
              ]}
            />
          </SpaceBetween>
        )}
      </Loaded>
    </ContentLayout>
  );
}

function OpenShare({
  share,
  fail,
}: {
  readonly share: Share;
  readonly fail: (error: Error | null) => void;
}) {
  const [busy, setBusy] = useState(false);
  const label = t.sharing.openOf(thingOf(share), share.name);
  if (share.kind === 'terminal') {
    return <PageLink href={`/shared/${share.id}`}>{t.sharing.watch}</PageLink>;
  }
  const act = (what: Promise<unknown>) => {
    setBusy(true);
    fail(null);
    what.catch((problem: unknown) => fail(problem as Error)).finally(() => setBusy(false));
  };
  const open = async () => {
    const { url } = await actions.openShare(share.id);
    location.assign(url);
  };
  const sleeps = share.state === 'hibernated' || share.state === 'stopped';
  if (sleeps && share.may_wake) {
    return (
      <Button loading={busy} onClick={() => act(actions.wakeShare(share.id))}>
        {t.sharing.wakeNow}
      </Button>
    );
  }
  return (
    <Button ariaLabel={label} loading={busy} onClick={() => act(open())}>
      {t.workspace.open}
    </Button>
  );
}

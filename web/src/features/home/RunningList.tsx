import Box from '@cloudscape-design/components/box';
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';

import type { Instance } from '../../api/client';
import { hourly } from '../../lib/format';
import { t } from '../../strings';
import { OpenInline } from '../workspaces/OpenInline';
import { PageLink } from '../../ui/PageLink';
import { StateIndicator } from '../workspaces/StateIndicator';
import { RelativeTime } from '../../ui/RelativeTime';
import { WrappedText } from '../../ui/WrappedText';

const SHOWN = 12;

/** The workspaces, those that were launched last first. */
export function RunningList({ list }: { readonly list: readonly Instance[] }) {
  const rows = list.toSorted((a, b) => b.launch_time.localeCompare(a.launch_time));
  return (
    <Table
      variant="container"
      header={
        <Header
          variant="h2"
          counter={`(${list.length})`}
          actions={<PageLink href="/workspaces">{t.home.all}</PageLink>}
        >
          {t.pages.workspaces}
        </Header>
      }
      items={rows.slice(0, SHOWN)}
      trackBy="workspace"
      empty={<Box>{t.workspaces.none}</Box>}
      columnDefinitions={[
        {
          id: 'name',
          header: t.fields.name,
          isRowHeader: true,
          minWidth: 130,
          cell: (it) => (
            <WrappedText>
              <PageLink href={`/workspaces/${it.name}`}>{it.name}</PageLink>
            </WrappedText>
          ),
        },
        { id: 'state', header: t.fields.state, cell: (it) => <StateIndicator instance={it} /> },
        { id: 'open', header: t.workspace.open, cell: (it) => <OpenInline instance={it} /> },
        { id: 'rate', header: t.fields.rate, cell: (it) => hourly(it.hourly_rate) },
        {
          id: 'expires',
          header: t.fields.expires,
          cell: (it) => <RelativeTime at={it.expires_at} />,
        },
      ]}
    />
  );
}

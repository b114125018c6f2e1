import Box from '@cloudscape-design/components/box';
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { WorkspaceLink } from '../workspaces/WorkspaceLink';
import { RelativeTime } from '../../ui/RelativeTime';
import { WrappedText } from '../../ui/WrappedText';

/** What happened lately, to one thing or to everything. */
export function EventList({
  workspace,
  rows = 50,
}: {
  /** The id of the workspace whose events are listed; without one, those of everything. */
  readonly workspace?: string;
  readonly rows?: number;
}) {
  const { data: list, error, refetch } = useQuery(queries.events(workspace));
  if (error !== null && list === undefined)
    return <ErrorAlert error={error} retry={() => void refetch()} />;
  return (
    <Table<Schemas['AuditEntry']>
      variant="container"
      header={<Header variant="h2">{t.events.title}</Header>}
      loading={list === undefined}
      loadingText={t.loading(t.events.title)}
      items={shown(list ?? [], workspace).slice(0, rows)}
      trackBy="id"
      contentDensity="compact"
      empty={<Box color="text-body-secondary">{t.events.none}</Box>}
      columnDefinitions={[
        { id: 'at', header: t.fields.when, cell: (it) => <RelativeTime at={it.at} /> },
        {
          id: 'event',
          header: t.fields.event,
          isRowHeader: true,
          cell: (it) => t.events.sentence(it.event, it.data),
        },
        ...(workspace === undefined
          ? [
              {
                id: 'subject',
                header: t.fields.subject,
                minWidth: 130,
                cell: (it: Schemas['AuditEntry']) =>
                  it.event.startsWith('instance_') ? (
                    <WrappedText>
                      <WorkspaceLink id={it.data['workspace']} name={it.subject} />
                    </WrappedText>
                  ) : (
                    <WrappedText>{it.subject}</WrappedText>
                  ),
              },
            ]
          : []),
        { id: 'actor', header: t.fields.actor, cell: (it) => it.actor },
      ]}
    />
  );
}

/** Of a workspace everything; in the list of all, not each step of each launch. */
function shown(
  list: readonly Schemas['AuditEntry'][],
  workspace: string | undefined,
): readonly Schemas['AuditEntry'][] {
  return workspace === undefined ? list.filter((it) => it.event !== 'instance_progress') : list;
}

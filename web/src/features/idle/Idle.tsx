import Box from '@cloudscape-design/components/box';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { Loaded } from '../../ui/Loaded';
import { WorkspaceLink } from '../workspaces/WorkspaceLink';
import { AddProfile, RemoveProfile } from './ProfileActions';
import { RelativeTime } from '../../ui/RelativeTime';
import { idleOf } from '../../lib/equivalentsOfIdle';
import { money } from '../../lib/format';
import { useOperator } from '../../lib/me';
import { t } from '../../strings';

/** The rules for workspaces that nobody uses, and what they have done. */
export default function Idle() {
  const operator = useOperator();
  const profiles = useQuery(queries.idleProfiles);
  const history = useQuery({ ...queries.idleHistory, enabled: operator });
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description={t.idle.about}
          actions={<AsCommand equivalents={idleOf()} />}
        >
          {t.pages.idle}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Loaded query={profiles} what={t.idle.profiles}>
          {(list) => (
            <Table<Schemas['IdleProfile']>
              header={
                <Header
                  variant="h2"
                  counter={`(${list.length})`}
                  actions={operator && <AddProfile />}
                >
                  {t.idle.profiles}
                </Header>
              }
              items={list}
              trackBy="name"
              wrapLines
              ariaLabels={{ tableLabel: t.idle.profiles }}
              columnDefinitions={[
                {
                  id: 'name',
                  header: t.fields.name,
                  minWidth: 110,
                  isRowHeader: true,
                  cell: (it) => it.name,
                },
                {
                  id: 'what',
                  header: t.templates.meaning,
                  minWidth: 180,
                  cell: (it) => it.description,
                },
                {
                  id: 'rule',
                  header: t.idle.rule,
                  minWidth: 180,
                  cell: (it) => t.idle.ruleOf(true, it.action, it.idle_threshold_minutes),
                },
                {
                  id: 'limits',
                  header: t.idle.limit,
                  minWidth: 220,
                  cell: (it) => t.idle.limits(it),
                },
                ...(operator
                  ? [
                      {
                        id: 'actions',
                        header: t.workspaces.actions,
                        minWidth: 110,
                        cell: ({ name }: Schemas['IdleProfile']) => <RemoveProfile name={name} />,
                      },
                    ]
                  : []),
              ]}
            />
          )}
        </Loaded>
        {operator && (
          <Loaded query={history} what={t.idle.history}>
            {(list) => (
              <Table<Schemas['IdleAction']>
                header={
                  <Header variant="h2" counter={`(${list.length})`}>
                    {t.idle.history}
                  </Header>
                }
                items={list}
                wrapLines
                ariaLabels={{ tableLabel: t.idle.history }}
                empty={<Box color="text-body-secondary">{t.idle.noHistory}</Box>}
                columnDefinitions={[
                  {
                    id: 'at',
                    header: t.fields.when,
                    minWidth: 110,
                    cell: (it) => <RelativeTime at={it.trigger_time} />,
                  },
                  {
                    id: 'name',
                    header: t.fields.name,
                    minWidth: 150,
                    isRowHeader: true,
                    cell: (it) => (
                      <WorkspaceLink id={it.workspace} name={it.instance_name} tab="activity" />
                    ),
                  },
                  {
                    id: 'action',
                    header: t.idle.done,
                    minWidth: 110,
                    cell: (it) => t.verbs[it.action],
                  },
                  {
                    id: 'idle',
                    header: t.idle.duration,
                    minWidth: 100,
                    cell: (it) => it.idle_duration,
                  },
                  {
                    id: 'profile',
                    header: t.idle.profile,
                    minWidth: 110,
                    cell: (it) => it.profile,
                  },
                  {
                    id: 'saved',
                    header: t.costs.saved,
                    minWidth: 110,
                    cell: (it) => money(it.estimated_savings),
                  },
                  { id: 'note', header: t.plan.notes, minWidth: 140, cell: (it) => it.note ?? '' },
                ]}
              />
            )}
          </Loaded>
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}

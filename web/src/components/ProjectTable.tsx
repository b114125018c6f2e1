import Box from '@cloudscape-design/components/box';
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';

import { actions } from '../api/actions';
import type { Schemas } from '../api/client';
import { money } from '../lib/format';
import { t } from '../strings';
import { Ask } from './Ask';
import { CapBar } from './CapBar';
import { PageLink } from './PageLink';

type Project = Schemas['ProjectShown'];

/** Every project with its money. */
export function ProjectTable({ projects }: { readonly projects: readonly Project[] }) {
  const create = (
    <Ask
      text={t.money.newProject}
      button={t.money.create}
      primary
      fields={[
        { id: 'name', label: t.fields.name },
        { id: 'description', label: t.money.description, optional: true },
        {
          id: 'cap',
          label: t.money.cap,
          what: t.money.capWhat,
          kind: 'number',
          optional: true,
        },
      ]}
      act={({ name = '', description = '', cap = '' }) =>
        actions.createProject({
          name,
          description,
          ...(cap === '' ? {} : { budget: { total_allocated: Number(cap) } }),
        })
      }
    />
  );
  return (
    <Table<Project>
      header={
        <Header variant="h2" counter={`(${projects.length})`} actions={create}>
          {t.money.projects}
        </Header>
      }
      items={projects}
      trackBy="id"
      wrapLines
      ariaLabels={{ tableLabel: t.money.projects }}
      empty={<Box color="text-body-secondary">{t.money.noProjects}</Box>}
      columnDefinitions={[
        {
          id: 'name',
          header: t.fields.name,
          minWidth: 160,
          isRowHeader: true,
          cell: (it) => (
            <PageLink href={`/projects/${encodeURIComponent(it.name)}`}>{it.name}</PageLink>
          ),
        },
        { id: 'money', header: t.money.money, minWidth: 220, cell: (it) => <Money project={it} /> },
        {
          id: 'burn',
          header: t.money.burn,
          cell: (it) => money(it.budget.monthly_burn_rate),
        },
        {
          id: 'count',
          header: t.pages.workspaces,
          cell: (it) => t.money.active(it.active_instances, it.total_instances),
        },
        { id: 'members', header: t.money.members, cell: (it) => it.members.length },
      ]}
    />
  );
}

function Money({ project }: { readonly project: Project }) {
  const { total_allocated: amount, spent, reserved, left } = project.budget;
  if (amount === null || spent === null || left === null) {
    return <>{t.money.uncapped(money(spent))}</>;
  }
  return (
    <CapBar label={project.name} amount={amount} settled={spent} reserved={reserved} left={left} />
  );
}

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { money } from '../../lib/format';
import { useMe } from '../../lib/me';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { CapBar } from '../money/CapBar';
import { ListTable, nameColumn } from '../../ui/ListTable';
import { PageLink } from '../../ui/PageLink';

type Project = Schemas['ProjectShown'];

/** Every project with its money. */
export function ProjectTable({ projects }: { readonly projects: readonly Project[] }) {
  const me = useMe();
  const create = (
    <DialogButton
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
    <ListTable<Project>
      title={t.money.projects}
      items={projects}
      by="id"
      empty={t.money.noProjects}
      actions={me?.may_create_projects === true && create}
      columns={[
        nameColumn((it) => (
          <PageLink href={`/projects/${encodeURIComponent(it.name)}`}>{it.name}</PageLink>
        )),
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

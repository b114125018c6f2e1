import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { upkeepActions } from '../../api/upkeepActions';
import { upkeepQueries } from '../../api/upkeepQueries';
import { money } from '../../lib/format';
import { t } from '../../strings';
import { Confirm } from '../../ui/Confirm';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { Loaded } from '../../ui/Loaded';
import { ROLE_OPTIONS, ROLES } from './roles';

type Limit = Schemas['LimitShown'];
const SCOPES = ['person', 'role', 'token'] as const;

/** What people, roles and tokens may use, in a project or everywhere. */
export function LimitTable({ project }: { readonly project: string | null }) {
  const query = useQuery(upkeepQueries.limits(project));
  return (
    <Loaded query={query} what={t.limits.title}>
      {({ limits }) => (
        <ListTable<Limit>
          title={t.limits.title}
          what={t.limits.what}
          items={limits}
          by="id"
          empty={t.limits.none}
          actions={<SetLimit project={project} />}
          columns={[
            {
              id: 'subject',
              header: t.limits.subject,
              isRowHeader: true,
              minWidth: 150,
              cell: (it) => t.limits.of(it.scope, it.subject),
            },
            {
              id: 'project',
              header: t.settings.project,
              cell: (it) => it.project_name ?? it.project ?? t.limits.everywhere,
            },
            { id: 'monthly', header: t.limits.monthly, cell: (it) => amountOf(it.monthly) },
            {
              id: 'workspaces',
              header: t.limits.workspaces,
              cell: (it) => it.workspaces ?? t.none,
            },
            { id: 'gpus', header: t.limits.gpus, cell: (it) => it.gpus ?? t.none },
            { id: 'by', header: t.limits.setBy, minWidth: 120, cell: (it) => it.set_by },
            {
              id: 'actions',
              header: t.workspaces.actions,
              cell: (it) => (
                <Confirm
                  text={t.files.remove}
                  label={t.money.removeOf(t.limits.of(it.scope, it.subject))}
                  word={it.subject}
                  warning={t.limits.remove}
                  act={() => upkeepActions.removeLimit(it.id, it.project)}
                />
              ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}

/** The limits of whoever looks, and how much of them is used. */
export function OwnLimits() {
  const { data } = useQuery(upkeepQueries.ownLimits);
  if (data === undefined || data.limits.length === 0) return null;
  return (
    <ListTable<Schemas['LimitUse']>
      title={t.limits.mine}
      items={data.limits}
      columns={[
        {
          id: 'subject',
          header: t.limits.subject,
          isRowHeader: true,
          minWidth: 150,
          cell: ({ limit }) => t.limits.of(limit.scope, limit.subject),
        },
        {
          id: 'project',
          header: t.settings.project,
          cell: ({ limit }) => limit.project_name ?? limit.project ?? t.limits.everywhere,
        },
        {
          id: 'monthly',
          header: t.limits.monthly,
          minWidth: 150,
          cell: (it) =>
            it.limit.monthly === null
              ? t.none
              : t.limits.used(money(it.spent), money(it.left), money(it.limit.monthly)),
        },
        {
          id: 'workspaces',
          header: t.limits.workspaces,
          cell: (it) => t.limits.running(it.workspaces_running, it.limit.workspaces),
        },
        {
          id: 'gpus',
          header: t.limits.gpus,
          cell: (it) => t.limits.running(it.gpus_running, it.limit.gpus),
        },
      ]}
    />
  );
}

function amountOf(amount: number | null): string {
  return amount === null ? t.none : money(amount);
}

function SetLimit({ project }: { readonly project: string | null }) {
  const { data: tokens = [] } = useQuery(queries.tokens);
  const { data: projects = [] } = useQuery(queries.projects);
  // The limit of a token counts in every project.
  const scopes = SCOPES.filter((it) => it !== 'token' || (project === null && tokens.length > 0));
  return (
    <DialogButton
      text={t.limits.set}
      button={t.save}
      fields={[
        {
          id: 'scope',
          label: t.limits.scope,
          value: 'person',
          options: scopes.map((value) => ({ value, label: t.limits.scopes[value] })),
        },
        {
          id: 'person',
          label: t.limits.person,
          what: t.limits.personWhat,
          when: { id: 'scope', values: ['person'] },
        },
        {
          id: 'role',
          label: t.limits.role,
          value: 'member',
          options: ROLE_OPTIONS,
          when: { id: 'scope', values: ['role'] },
        },
        {
          id: 'token',
          label: t.limits.token,
          options: tokens.map((it) => ({ value: it.id, label: t.limits.tokenOf(it.name, it.id) })),
          when: { id: 'scope', values: ['token'] },
        },
        ...(project === null
          ? [
              {
                id: 'project',
                label: t.settings.project,
                optional: true as const,
                when: { id: 'scope', values: ['person', 'role'] },
                options: [
                  { value: '', label: t.limits.everywhere },
                  ...projects.map((it) => ({ value: it.id, label: it.name })),
                ],
              },
            ]
          : []),
        { id: 'monthly', label: t.limits.monthly, kind: 'number', optional: true },
        { id: 'workspaces', label: t.limits.workspaces, kind: 'number', optional: true },
        { id: 'gpus', label: t.limits.gpus, kind: 'number', optional: true },
      ]}
      act={(values) => upkeepActions.setLimit(limitOf(values, project))}
    />
  );
}

/** What was typed, as a request; an empty field changes nothing. */
function limitOf(
  values: Readonly<Record<string, string>>,
  project: string | null,
): Schemas['LimitChange'] {
  const { person, role, token } = values; // the one of the chosen scope
  const paying = project ?? (values['project'] || null);
  const numbers = (['monthly', 'workspaces', 'gpus'] as const).filter((id) => values[id]);
  return {
    ...(person === undefined ? {} : { person }),
    ...(role === undefined ? {} : { role: ROLES.find((it) => it === role) ?? null }),
    ...(token === undefined ? {} : { token }),
    ...(paying === null ? {} : { project: paying }),
    ...Object.fromEntries(numbers.map((id) => [id, Number(values[id])])),
  };
}

import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { hasRole, useMe } from '../../lib/me';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { lastDay } from './lastDay';
import { LAST_DAY, MemberEnd, untilDay } from './MemberEnd';
import { ROLE_OPTIONS, roleOf } from './roles';
import { RemoveMember } from './RemoveMember';
import { RelativeTime } from '../../ui/RelativeTime';

/** Who belongs to a project, and as what. */
export function ProjectMembers({ project }: { readonly project: Schemas['ProjectShown'] }) {
  const { id, members } = project;
  const me = useMe();
  const decides = hasRole(me, id, 'owner');
  const adds = decides && (me?.operator === true || me?.may_create_projects === false);
  return (
    <Table<Schemas['Member']>
      header={
        <Header
          variant="h2"
          counter={`(${members.length})`}
          description={adds ? undefined : decides ? t.money.inviteMembers : t.money.ownersDecide}
          actions={
            adds && (
              <DialogButton
                text={t.money.addMember}
                button={t.money.add}
                fields={[
                  { id: 'email', label: t.invitations.email, kind: 'email' },
                  { id: 'role', label: t.money.role, value: 'member', options: ROLE_OPTIONS },
                  LAST_DAY,
                ]}
                act={({ email = '', role, day = '' }) =>
                  actions.addMember(id, { email, role: roleOf(role), ...untilDay(day) })
                }
              />
            )
          }
        >
          {t.money.members}
        </Header>
      }
      items={members}
      trackBy="email"
      wrapLines
      ariaLabels={{ tableLabel: t.money.members }}
      columnDefinitions={[
        {
          id: 'email',
          header: t.invitations.email,
          minWidth: 180,
          isRowHeader: true,
          cell: (it) => it.email,
        },
        { id: 'role', header: t.money.role, minWidth: 100, cell: (it) => t.roles[it.role] },
        {
          id: 'since',
          header: t.money.since,
          minWidth: 110,
          cell: (it) => <RelativeTime at={it.join_date} />,
        },
        {
          id: 'until',
          header: t.memberEnd.column,
          minWidth: 150,
          cell: (it) => it.until && t.memberEnd.cell(lastDay(it.until), it.at_end, it.to),
        },
        {
          id: 'actions',
          header: t.workspaces.actions,
          minWidth: 380,
          cell: (it) => (
            <SpaceBetween direction="horizontal" size="xs">
              {decides && (
                <DialogButton
                  text={t.money.change}
                  label={t.money.changeOf(it.email)}
                  button={t.save}
                  fields={[
                    { id: 'role', label: t.money.role, value: it.role, options: ROLE_OPTIONS },
                  ]}
                  act={({ role }) => actions.changeRole(id, it.email, roleOf(role))}
                />
              )}
              {decides && (me?.operator === true || it.email !== me?.user.toLowerCase()) && (
                <MemberEnd project={project} member={it} />
              )}
              {(decides || it.email === me?.user.toLowerCase()) && (
                <RemoveMember project={project} email={it.email} />
              )}
            </SpaceBetween>
          ),
        },
      ]}
    />
  );
}

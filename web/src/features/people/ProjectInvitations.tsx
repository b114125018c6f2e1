import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { type DragEvent, useRef, useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { lastDay } from './lastDay';
import { LAST_DAY, untilDay } from './MemberEnd';
import { type Guest, guestsOf } from './people';
import { ROLE_OPTIONS, roleOf } from './roles';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { BulkInvitations } from './BulkInvitations';
import { Loaded } from '../../ui/Loaded';
import { useNotify } from '../../ui/Notifications';
import { RelativeTime } from '../../ui/RelativeTime';

/** Who is invited to a project; a CSV file that is dropped here invites everybody in it. */
export function ProjectInvitations({ project }: { readonly project: Schemas['ProjectShown'] }) {
  const query = useQuery(queries.invitations(project.id));
  const [guests, setGuests] = useState<readonly Guest[] | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const { notify, failed } = useNotify();
  const read = async (file: File | undefined) => {
    if (file !== undefined) setGuests(guestsOf(await file.text()));
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    void read(event.dataTransfer.files[0]);
  };
  const act = async (doing: string, done: string, request: () => Promise<unknown>) => {
    try {
      await request();
      notify({ type: 'success', header: done });
    } catch (error) {
      failed(doing, error as Error);
    }
  };
  return (
    <div data-drop="csv" onDragOver={(event) => event.preventDefault()} onDrop={drop}>
      <input
        ref={input}
        type="file"
        accept=".csv,text/csv"
        hidden
        aria-label={t.invitations.csv}
        onChange={({ currentTarget }) => {
          void read(currentTarget.files?.[0]);
          currentTarget.value = '';
        }}
      />
      <Loaded query={query} what={t.money.tab.invitations}>
        {({ invitations }) => (
          <Table<Schemas['ListedInvitation']>
            header={
              <Header
                variant="h2"
                counter={`(${invitations.length})`}
                description={t.invitations.what}
                actions={
                  <SpaceBetween direction="horizontal" size="xs">
                    <Button onClick={() => input.current?.click()}>{t.invitations.csv}</Button>
                    <DialogButton
                      text={t.invitations.invite}
                      button={t.invitations.send}
                      primary
                      fields={[
                        { id: 'email', label: t.invitations.email, kind: 'email' },
                        { id: 'role', label: t.money.role, value: 'member', options: ROLE_OPTIONS },
                        { id: 'message', label: t.invitations.message, optional: true },
                        LAST_DAY,
                      ]}
                      act={({ email = '', role, message = '', day = '' }) =>
                        actions.invite({
                          project_id: project.id,
                          email,
                          role: roleOf(role),
                          message,
                          ...untilDay(day),
                        })
                      }
                    />
                  </SpaceBetween>
                }
              >
                {t.money.tab.invitations}
              </Header>
            }
            items={invitations}
            trackBy="id"
            wrapLines
            ariaLabels={{ tableLabel: t.money.tab.invitations }}
            empty={<Box color="text-body-secondary">{t.invitations.none}</Box>}
            columnDefinitions={[
              {
                id: 'email',
                header: t.invitations.email,
                minWidth: 200,
                isRowHeader: true,
                cell: (it) => it.email,
              },
              { id: 'role', header: t.money.role, minWidth: 100, cell: (it) => t.roles[it.role] },
              {
                id: 'status',
                header: t.fields.state,
                minWidth: 130,
                cell: (it) => it.mail_problem ?? t.invitations.statuses[it.status],
              },
              {
                id: 'sent',
                header: t.fields.when,
                minWidth: 100,
                cell: (it) => <RelativeTime at={it.invited_at} />,
              },
              {
                id: 'until',
                header: t.fields.expires,
                minWidth: 100,
                cell: (it) => <RelativeTime at={it.expires_at} />,
              },
              {
                id: 'member-until',
                header: t.memberEnd.invitation,
                minWidth: 120,
                cell: (it) => it.until && t.memberEnd.cell(lastDay(it.until), it.at_end, it.to),
              },
              {
                id: 'actions',
                header: t.workspaces.actions,
                minWidth: 270,
                cell: (it) =>
                  it.status === 'pending' && (
                    <SpaceBetween direction="horizontal" size="xs">
                      <Button
                        ariaLabel={t.invitations.resendOf(it.email)}
                        onClick={() =>
                          void act(
                            t.invitations.resendOf(it.email),
                            t.invitations.resent(it.email),
                            () => actions.resend(it.id),
                          )
                        }
                      >
                        {t.invitations.resend}
                      </Button>
                      <Button
                        ariaLabel={t.invitations.revokeOf(it.email)}
                        onClick={() =>
                          void act(
                            t.invitations.revokeOf(it.email),
                            t.invitations.revoked(it.email),
                            () => actions.revoke(it.id),
                          )
                        }
                      >
                        {t.invitations.revoke}
                      </Button>
                    </SpaceBetween>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
      {guests !== null && (
        <BulkInvitations project={project} guests={guests} close={() => setGuests(null)} />
      )}
    </div>
  );
}

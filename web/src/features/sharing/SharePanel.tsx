import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import type { Instance, Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { moment } from '../../lib/format';
import { isOwn, reachesServices, useMe } from '../../lib/me';
import { useAccess } from '../../lib/services';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { Loaded } from '../../ui/Loaded';
import { useNotify } from '../../ui/Notifications';
import { RelativeTime } from '../../ui/RelativeTime';
import { guestOf, thingOf } from './shares';

type Share = Schemas['ShareShown'];
const TERMINAL = ' terminal'; // no service has a blank in its name
const DAY = 86_400_000; // milliseconds

/** With whom a workspace is shared, and who else is or was in it. */
export function SharePanel({ instance }: { readonly instance: Instance }) {
  const shares = useQuery(queries.sharesOf(instance.workspace));
  const visits = useQuery(queries.visits(instance.workspace));
  const own = isOwn(useMe(), instance);
  return (
    <SpaceBetween size="l">
      <Loaded query={shares} what={t.sharing.title}>
        {(list) => (
          <ListTable<Share>
            title={t.sharing.title}
            what={t.sharing.what}
            items={list.shares}
            by="id"
            empty={t.sharing.none}
            actions={own && <ShareButton instance={instance} />}
            columns={[
              { id: 'what', header: t.sharing.thing, isRowHeader: true, cell: thingOf },
              { id: 'with', header: t.sharing.guest, cell: guestOf },
              {
                id: 'until',
                header: t.sharing.until,
                cell: (it) => <RelativeTime at={it.until} />,
              },
              {
                id: 'wake',
                header: t.sharing.wake,
                cell: (it) => (it.may_wake ? t.sharing.mayWake : t.sharing.mayNotWake),
              },
              { id: 'end', header: t.workspaces.actions, cell: (it) => <EndShare share={it} /> },
            ]}
          />
        )}
      </Loaded>
      <Loaded query={visits} what={t.sharing.visits}>
        {(list) => (
          <ListTable<Schemas['VisitShown']>
            title={t.sharing.visits}
            what={t.sharing.visitsWhat}
            items={list.visits}
            by="began_at"
            empty={t.sharing.noVisits}
            columns={[
              { id: 'who', header: t.sharing.who, isRowHeader: true, cell: (it) => it.person },
              { id: 'way', header: t.sharing.way, cell: (it) => t.sharing.ways[it.way] },
              { id: 'from', header: t.sharing.from, cell: (it) => moment(it.began_at) },
              {
                id: 'to',
                header: t.sharing.to,
                cell: (it) => (it.ended_at === null ? t.sharing.lasts : moment(it.ended_at)),
              },
            ]}
          />
        )}
      </Loaded>
    </SpaceBetween>
  );
}

function ShareButton({ instance }: { readonly instance: Instance }) {
  const reaches = reachesServices(useMe());
  const access = useAccess(instance);
  const services = reaches ? (access.data?.services ?? []).map((it) => it.service) : [];
  return (
    <DialogButton
      text={t.sharing.share}
      label={t.sharing.shareOf(instance.name)}
      button={t.sharing.share}
      fields={[
        {
          id: 'thing',
          label: t.sharing.thing,
          what: reaches ? t.sharing.appWarning : t.sharing.noApps,
          value: TERMINAL,
          options: [
            { value: TERMINAL, label: t.sharing.terminal },
            ...services.map((name) => ({ value: name, label: name })),
          ],
        },
        { id: 'guest', label: t.sharing.guest, what: t.sharing.guestWhat },
        { id: 'days', label: t.sharing.days, kind: 'number', value: '7' },
        {
          id: 'wake',
          label: t.sharing.wake,
          what: t.sharing.wakeWhat,
          value: '',
          optional: true,
          options: [
            { value: '', label: t.sharing.mayNotWake },
            { value: 'yes', label: t.sharing.mayWake },
          ],
        },
      ]}
      act={({ thing = TERMINAL, guest = '', days = '7', wake = '' }) =>
        actions.share(instance.workspace, {
          ...(thing === TERMINAL ? { terminal: true } : { app: thing }),
          guest: guest.trim(),
          until: new Date(Date.now() + Number(days) * DAY).toISOString(),
          may_wake: wake === 'yes',
        })
      }
    />
  );
}

function EndShare({ share }: { readonly share: Share }) {
  const { notify } = useNotify();
  const end = () => {
    actions.endShare(share.id).then(
      ({ message }) => notify({ type: 'success', header: message }),
      (problem: unknown) => notify({ type: 'error', header: (problem as Error).message }),
    );
  };
  return (
    <Button ariaLabel={t.sharing.endOf(thingOf(share), guestOf(share))} onClick={end}>
      {t.sharing.end}
    </Button>
  );
}

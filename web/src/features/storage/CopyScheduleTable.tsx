import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { volumesOf } from '../../lib/volumes';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { RelativeTime } from '../../ui/RelativeTime';
import { StorageMenu } from './StorageMenu';

type Schedule = Schemas['CopyScheduleItem'];

const PERIODS = ['daily', 'weekly', 'monthly'] as const;

/** What is copied regularly, and how that goes. */
export function CopyScheduleTable({ schedules }: { readonly schedules: readonly Schedule[] }) {
  const { data } = useQuery(queries.volumes);
  const volumes = data === undefined ? [] : volumesOf(data);
  const create = (
    <DialogButton
      text={t.storage.schedule}
      button={t.storage.schedule}
      disabled={volumes.length === 0}
      fields={[
        { id: 'destination', label: t.storage.destination, what: t.storage.destinationWhat },
        {
          id: 'volume',
          label: t.storage.volumeToCopy,
          options: volumes.map((it) => ({ value: it.name, label: it.name })),
        },
        {
          id: 'every',
          label: t.storage.every,
          value: 'daily',
          options: PERIODS.map((value) => ({ value, label: t.storage.periods[value] })),
        },
        { id: 'keep', label: t.storage.keep, kind: 'number', value: '7' },
      ]}
      act={({ destination = '', volume = '', every, keep }) =>
        actions.scheduleCopies({
          destination,
          volume,
          every: PERIODS.find((it) => it === every) ?? 'daily',
          keep: Number(keep),
        })
      }
    />
  );
  return (
    <ListTable<Schedule>
      title={t.storage.schedules}
      items={schedules}
      by="id"
      empty={t.storage.noSchedules}
      actions={create}
      columns={[
        {
          id: 'source',
          header: t.storage.source,
          minWidth: 130,
          isRowHeader: true,
          cell: (it) => it.source,
        },
        {
          id: 'destination',
          header: t.storage.destination,
          minWidth: 180,
          cell: (it) => it.destination,
        },
        {
          id: 'every',
          header: t.storage.every,
          minWidth: 100,
          cell: (it) => t.storage.periods[it.every],
        },
        {
          id: 'last',
          header: t.storage.lastCopy,
          minWidth: 180,
          cell: (it) =>
            it.failure !== null ? (
              <StatusIndicator type="error">{it.failure.message}</StatusIndicator>
            ) : it.last_success === null ? (
              t.storage.never
            ) : (
              <RelativeTime at={it.last_success} />
            ),
        },
        {
          id: 'next',
          header: t.storage.nextCopy,
          minWidth: 100,
          cell: (it) => (it.running ? t.storage.now : <RelativeTime at={it.next_run} />),
        },
        {
          id: 'actions',
          header: t.workspaces.actions,
          cell: (it) => (
            <StorageMenu
              name={t.storage.copyNamed(it.source, it.destination)}
              actions={[
                {
                  id: 'end',
                  text: t.storage.unschedule,
                  act: () => actions.endSchedule(it.id),
                  done: () => t.storage.unscheduled,
                },
              ]}
            />
          ),
        },
      ]}
    />
  );
}

import Box from '@cloudscape-design/components/box';
import StatusIndicator, {
  type StatusIndicatorProps,
} from '@cloudscape-design/components/status-indicator';

import { actions } from '../../api/actions';
import { upkeepActions } from '../../api/upkeepActions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable } from '../../ui/ListTable';
import { RelativeTime } from '../../ui/RelativeTime';
import { StorageMenu } from './StorageMenu';

type Copy = Schemas['CopyItem'];

const LOOKS: Readonly<Record<Copy['state'], StatusIndicatorProps.Type>> = {
  pending: 'pending',
  copying: 'in-progress',
  verifying: 'in-progress',
  completed: 'success',
  failed: 'error',
};

/** The copies of snapshots on other disks and computers, and how to fetch one. */
export function CopyTable({ copies }: { readonly copies: readonly Copy[] }) {
  const fetch = (
    <DialogButton
      text={t.storage.fetch}
      button={t.storage.fetch}
      fields={[
        { id: 'destination', label: t.storage.destination, what: t.storage.destinationWhat },
        { id: 'copy', label: t.storage.fetchName },
        { id: 'name', label: t.storage.fetchAs, what: t.storage.fetchAsWhat, optional: true },
      ]}
      act={({ destination = '', copy = '', name = '' }) =>
        actions.fetchSnapshot({ destination, copy, ...(name === '' ? {} : { name }) })
      }
    />
  );
  return (
    <ListTable<Copy>
      title={t.storage.copies}
      what={t.storage.copiesWhat}
      items={copies}
      by="id"
      empty={t.storage.noCopies}
      actions={fetch}
      columns={[
        {
          id: 'snapshot',
          header: t.storage.snapshotName,
          minWidth: 130,
          isRowHeader: true,
          cell: (it) => it.snapshot,
        },
        {
          id: 'destination',
          header: t.storage.destination,
          minWidth: 170,
          cell: (it) => (
            <>
              {it.destination}
              {it.same_disk === true && <Box color="text-status-warning">{t.storage.sameDisk}</Box>}
            </>
          ),
        },
        {
          id: 'state',
          header: t.fields.state,
          minWidth: 150,
          cell: (it) => (
            <StatusIndicator type={LOOKS[it.state]}>
              {t.storage.stateOf(it.state, it.failure?.message ?? null)}
            </StatusIndicator>
          ),
        },
        {
          id: 'read',
          header: t.storage.readThere,
          minWidth: 110,
          cell: (it) =>
            it.verified_at === null ? t.storage.notRead : <RelativeTime at={it.verified_at} />,
        },
        {
          id: 'size',
          header: t.storage.size,
          minWidth: 120,
          cell: (it) => t.storage.copiedBytes(it.total_bytes, it.added_bytes),
        },
        {
          id: 'actions',
          header: t.workspaces.actions,
          cell: (it) => (
            <StorageMenu
              name={t.storage.copyNamed(it.snapshot, it.destination)}
              actions={[
                {
                  id: 'forget',
                  text: t.storage.forget,
                  act: () => actions.forgetCopy(it.id),
                  done: () => t.storage.forgotten,
                },
                {
                  id: 'delete',
                  text: t.storage.deleteThere,
                  title: t.storage.deleteThereOf(it.snapshot, it.destination),
                  disabled: it.remote_id === null,
                  warning: t.storage.deleteThereWhat,
                  word: it.snapshot,
                  act: () => upkeepActions.deleteCopy(it.remote_id ?? '', it.destination),
                  done: () => t.storage.deletedThere,
                },
              ]}
            />
          ),
        },
      ]}
    />
  );
}

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { StorageMenu } from './StorageMenu';

/**
 * What can be done with a snapshot: restore it into a new volume, rehearse that, delete it.
 * `workspace` is the one that can be rolled back to it.
 */
export function SnapshotActions({
  snapshot,
  workspace,
}: {
  readonly snapshot: Schemas['SnapshotItem'];
  readonly workspace: string | null;
}) {
  const { name, state } = snapshot;
  const incomplete = state !== 'completed';
  return (
    <StorageMenu
      name={name}
      actions={[
        {
          id: 'restore',
          text: t.storage.restore,
          title: t.storage.restoreOf(name),
          disabled: incomplete,
          fields: [{ id: 'volume', label: t.storage.newVolumeName, what: t.storage.nameWhat }],
          act: ({ volume = '' }) => actions.restoreSnapshot(name, volume),
          done: ({ volume = '' }) => t.storage.restoring(volume),
        },
        ...(workspace === null
          ? []
          : [
              {
                id: 'rollback',
                text: t.storage.rollBack,
                title: t.storage.rollBackTo(workspace, name),
                disabled: incomplete,
                warning: t.storage.rollBackWarning(workspace, name),
                word: workspace,
                act: () => actions.rollBack(workspace, name),
                done: () => t.storage.rollingBack(workspace),
              },
            ]),
        {
          id: 'copy',
          text: t.storage.copyElsewhere,
          title: t.storage.copyOf(name),
          disabled: incomplete,
          fields: [
            { id: 'destination', label: t.storage.destination, what: t.storage.destinationWhat },
            {
              id: 'verify',
              label: t.storage.check,
              value: 'full',
              options: [
                { value: 'full', label: t.storage.checks.full },
                { value: 'quick', label: t.storage.checks.quick },
              ],
            },
          ],
          act: ({ destination = '', verify }) =>
            actions.copySnapshot(name, {
              destination,
              verify: verify === 'quick' ? 'quick' : 'full',
            }),
          done: ({ destination = '' }) => t.storage.copyTo(destination),
        },
        {
          id: 'verify',
          text: t.storage.verify,
          disabled: incomplete,
          act: () => actions.verifySnapshot(name),
          done: () => t.storage.verifying,
        },
        {
          id: 'delete',
          text: t.files.remove,
          title: t.storage.removeOf(name),
          disabled: state === 'deleting',
          warning: t.storage.removeSnapshot,
          act: () => actions.removeSnapshot(name),
          done: () => t.storage.removing,
        },
      ]}
    />
  );
}

import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { useState } from 'react';

import { actions } from '../../api/actions';
import { contentAt, type FileEntry, join } from '../../lib/files';
import { t } from '../../strings';
import { DeleteFilesDialog } from './DeleteFilesDialog';
import { NameDialog } from '../../ui/NameDialog';

/** What can be done with one file or folder. */
export function FileActions({
  workspace,
  folder,
  entry,
}: {
  readonly workspace: string;
  readonly folder: string;
  readonly entry: FileEntry;
}) {
  const [dialog, setDialog] = useState<string | null>(null);
  const path = join(folder, entry.name);
  const download = { id: 'download', text: t.files.download, href: contentAt(workspace, path) };
  return (
    <>
      <ButtonDropdown
        variant="inline-icon"
        expandToViewport
        disabled={!entry.addressable}
        ariaLabel={t.files.actionsOf(entry.name)}
        items={[
          ...(entry.kind === 'file' ? [download] : []),
          { id: 'rename', text: t.files.rename },
          { id: 'remove', text: t.files.remove },
        ]}
        onItemClick={({ detail }) => {
          if (detail.id !== 'download') setDialog(detail.id);
        }}
      />
      {dialog === 'rename' && (
        <NameDialog
          title={t.files.renameOf(entry.name)}
          label={t.files.newPath}
          button={t.files.rename}
          value={path}
          close={() => setDialog(null)}
          act={(word) => actions.renameFile(workspace, path, word)}
        />
      )}
      {dialog === 'remove' && (
        <DeleteFilesDialog
          workspace={workspace}
          folder={folder}
          entries={[entry]}
          close={() => setDialog(null)}
        />
      )}
    </>
  );
}

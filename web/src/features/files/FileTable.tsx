import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import BreadcrumbGroup from '@cloudscape-design/components/breadcrumb-group';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Icon from '@cloudscape-design/components/icon';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useRef, useState } from 'react';

import { actions } from '../../api/actions';
import type { Instance, Schemas } from '../../api/client';
import { filesOf } from '../../lib/equivalents';
import { bytes, contentAt, type FileEntry, inOrder, join, trail } from '../../lib/files';
import { t } from '../../strings';
import { AsCommand } from '../../ui/AsCommand';
import { DeleteFilesDialog } from './DeleteFilesDialog';
import { FileActions } from './FileActions';
import { NameDialog } from '../../ui/NameDialog';
import { RelativeTime } from '../../ui/RelativeTime';

const ICONS = { folder: 'folder', file: 'file', link: 'share', other: 'status-stopped' } as const;

/** One folder of a workspace. */
export function FileTable({
  instance,
  listing,
  open,
  preview,
  upload,
  reload,
}: {
  readonly instance: Instance;
  readonly listing: Schemas['FolderListing'];
  readonly open: (path: string) => void;
  readonly preview: (path: string) => void;
  readonly upload: (files: readonly File[]) => void;
  readonly reload: () => void;
}) {
  const { path, entries, truncated } = listing;
  const { name, workspace } = instance;
  const [chosen, setChosen] = useState<readonly FileEntry[]>([]);
  const [dialog, setDialog] = useState<'folder' | 'remove' | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const folderInput = useRef<HTMLInputElement>(null);
  const selected = chosen.filter((it) => entries.some((entry) => entry.name === it.name));
  const show = (it: FileEntry) => {
    const at = join(path, it.name);
    if (!it.addressable || (it.kind !== 'folder' && it.kind !== 'file')) return it.name;
    return (
      <Link
        href={
          it.kind === 'file'
            ? contentAt(workspace, at)
            : `?tab=files&path=${encodeURIComponent(at)}`
        }
        onFollow={(event) => {
          event.preventDefault();
          if (it.kind === 'folder') open(at);
          else preview(at);
        }}
      >
        {it.name}
      </Link>
    );
  };
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label={t.files.upload}
        onChange={({ currentTarget }) => {
          upload([...(currentTarget.files ?? [])]);
          currentTarget.value = '';
        }}
      />
      <input
        ref={folderInput}
        type="file"
        {...{ webkitdirectory: '' }}
        hidden
        aria-label={t.files.uploadFolder}
        onChange={({ currentTarget }) => {
          upload([...(currentTarget.files ?? [])]);
          currentTarget.value = '';
        }}
      />
      <Table<FileEntry>
        items={inOrder(entries)}
        trackBy="name"
        selectionType="multi"
        selectedItems={selected}
        isItemDisabled={(it) => !it.addressable}
        onSelectionChange={({ detail }) => setChosen(detail.selectedItems)}
        contentDensity="compact"
        wrapLines
        ariaLabels={{
          tableLabel: t.workspace.tab.files,
          selectionGroupLabel: t.files.selection,
          allItemsSelectionLabel: () => t.files.selectAll,
          itemSelectionLabel: (_, it) => t.workspaces.select(it.name),
        }}
        header={
          <Header
            variant="h2"
            counter={t.files.count(entries.length, truncated)}
            description={t.files.what}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <AsCommand equivalents={filesOf(name, path)} />
                <Button iconName="refresh" ariaLabel={t.files.reload} onClick={reload} />
                <Button disabled={selected.length === 0} onClick={() => setDialog('remove')}>
                  {t.files.remove}
                </Button>
                <Button onClick={() => setDialog('folder')}>{t.files.newFolder}</Button>
                <Button onClick={() => folderInput.current?.click()}>{t.files.uploadFolder}</Button>
                <Button iconName="upload" onClick={() => input.current?.click()}>
                  {t.files.upload}
                </Button>
              </SpaceBetween>
            }
          >
            {t.workspace.tab.files}
          </Header>
        }
        filter={
          <BreadcrumbGroup
            ariaLabel={t.files.breadcrumbs}
            items={trail(path, t.files.home).map((it) => ({
              text: it.text,
              href: `?tab=files&path=${encodeURIComponent(it.path)}`,
              path: it.path,
            }))}
            onFollow={(event) => {
              event.preventDefault();
              open(event.detail.item.path);
            }}
          />
        }
        footer={truncated && <Alert type="warning">{t.files.truncated(entries.length)}</Alert>}
        empty={<Box color="text-body-secondary">{t.files.empty}</Box>}
        columnDefinitions={[
          {
            id: 'name',
            header: t.fields.name,
            isRowHeader: true,
            minWidth: 190,
            cell: (it) => (
              <SpaceBetween direction="horizontal" size="xs">
                <Icon name={ICONS[it.kind]} ariaLabel={t.files.kinds[it.kind]} />
                {show(it)}
              </SpaceBetween>
            ),
          },
          {
            id: 'size',
            header: t.files.size,
            minWidth: 90,
            cell: (it) => (it.size === null ? t.none : bytes(it.size)),
          },
          {
            id: 'modified',
            header: t.files.modified,
            minWidth: 110,
            cell: (it) => <RelativeTime at={it.modified} />,
          },
          {
            id: 'actions',
            header: t.workspaces.actions,
            cell: (it) => <FileActions workspace={workspace} folder={path} entry={it} />,
          },
        ]}
      />
      {dialog === 'folder' && (
        <NameDialog
          title={t.files.newFolder}
          label={t.fields.name}
          button={t.files.make}
          close={() => setDialog(null)}
          act={(word) => actions.makeFolder(workspace, join(path, word))}
        />
      )}
      {dialog === 'remove' && (
        <DeleteFilesDialog
          workspace={workspace}
          folder={path}
          entries={selected}
          close={() => setDialog(null)}
        />
      )}
    </>
  );
}

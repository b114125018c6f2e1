import Alert from '@cloudscape-design/components/alert';
import Container from '@cloudscape-design/components/container';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { type DragEvent, useState } from 'react';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { useSearch } from '../../lib/useSearch';
import { chosen, dropped } from './dropped';
import { uploadQueue } from './useUploads';
import { t } from '../../strings';
import { FilePreview } from './FilePreview';
import { FileTable } from './FileTable';
import { Loaded } from '../../ui/Loaded';

const WITHOUT_FILES: ReadonlySet<Instance['state']> = new Set(['terminating', 'terminated']);

/** The files in the home of a workspace; files that are dropped here are uploaded. */
export function FilePanel({ instance }: { readonly instance: Instance }) {
  const { workspace, state } = instance;
  const [search, change] = useSearch();
  const path = search.get('path') ?? '';
  const shown = search.get('preview');
  const query = useQuery({ ...queries.files(workspace, path), enabled: !WITHOUT_FILES.has(state) });
  const [over, setOver] = useState(false);
  if (WITHOUT_FILES.has(state)) return <Container>{t.files.gone}</Container>;
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void dropped(event.dataTransfer).then((files) => uploadQueue.add(instance, path, files));
  };
  return (
    <div
      data-over={over}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <SpaceBetween size="m">
        {over && <Alert type="info">{t.files.drop(path)}</Alert>}
        <Loaded query={query} what={t.workspace.tab.files}>
          {(listing) => (
            <FileTable
              instance={instance}
              listing={listing}
              open={(next) => change({ path: next || null, preview: null })}
              preview={(file) => change({ preview: file })}
              upload={(files) => uploadQueue.add(instance, path, chosen(files))}
              reload={() => void query.refetch()}
            />
          )}
        </Loaded>
      </SpaceBetween>
      {shown !== null && (
        <FilePreview workspace={workspace} path={shown} close={() => change({ preview: null })} />
      )}
    </div>
  );
}

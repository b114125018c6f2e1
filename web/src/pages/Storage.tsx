import Box from '@cloudscape-design/components/box';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../api/client';
import { queries } from '../api/queries';
import { Loaded } from '../components/Loaded';
import { VolumeActions } from '../components/VolumeActions';
import { When } from '../components/When';
import { money } from '../lib/format';
import { t } from '../strings';
import { type Volume, volumesOf } from '../lib/volumes';

/** The data that outlives workspaces: volumes and snapshots. */
export default function Storage() {
  const volumes = useQuery(queries.volumes);
  const snapshots = useQuery(queries.snapshots);
  return (
    <ContentLayout
      header={
        <Header variant="h1" description={t.storage.what}>
          {t.pages.storage}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Loaded query={volumes} what={t.storage.volumes}>
          {(found) => <Volumes list={volumesOf(found)} />}
        </Loaded>
        <Loaded query={snapshots} what={t.storage.snapshots}>
          {(list) => <Snapshots list={list} />}
        </Loaded>
      </SpaceBetween>
    </ContentLayout>
  );
}

function Volumes({ list }: { readonly list: readonly Volume[] }) {
  return (
    <Table<Volume>
      header={
        <Header variant="h2" counter={`(${list.length})`} description={t.storage.create}>
          {t.storage.volumes}
        </Header>
      }
      items={list}
      trackBy="name"
      ariaLabels={{ tableLabel: t.storage.volumes }}
      empty={<Box color="text-body-secondary">{t.storage.noVolumes}</Box>}
      columnDefinitions={[
        { id: 'name', header: t.fields.name, isRowHeader: true, cell: (it) => it.name },
        { id: 'kind', header: t.fields.type, cell: (it) => it.kind },
        { id: 'state', header: t.fields.state, cell: (it) => it.state },
        { id: 'size', header: t.storage.size, cell: (it) => t.storage.gb(it.size) },
        { id: 'used', header: t.storage.used, cell: (it) => t.storage.gb(it.used) },
        { id: 'at', header: t.storage.attached, cell: (it) => it.attached.join(', ') || t.none },
        { id: 'cost', header: t.storage.monthly, cell: (it) => money(it.monthly) },
        {
          id: 'actions',
          header: t.workspaces.actions,
          cell: (it) => <VolumeActions volume={it} />,
        },
      ]}
    />
  );
}

function Snapshots({ list }: { readonly list: readonly Schemas['SnapshotItem'][] }) {
  return (
    <Table<Schemas['SnapshotItem']>
      header={
        <Header variant="h2" counter={`(${list.length})`}>
          {t.storage.snapshots}
        </Header>
      }
      items={list}
      trackBy="name"
      ariaLabels={{ tableLabel: t.storage.snapshots }}
      empty={<Box color="text-body-secondary">{t.storage.noSnapshots}</Box>}
      columnDefinitions={[
        { id: 'name', header: t.fields.name, isRowHeader: true, cell: (it) => it.name },
        { id: 'of', header: t.storage.source, cell: (it) => it.source },
        { id: 'state', header: t.fields.state, cell: (it) => it.state },
        { id: 'size', header: t.storage.size, cell: (it) => t.storage.gb(it.size_gb) },
        { id: 'made', header: t.storage.made, cell: (it) => <When at={it.creation_time} /> },
        { id: 'cost', header: t.storage.monthly, cell: (it) => money(it.monthly_cost) },
      ]}
    />
  );
}

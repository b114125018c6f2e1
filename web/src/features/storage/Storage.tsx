import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { CopyScheduleTable } from './CopyScheduleTable';
import { CopyTable } from './CopyTable';
import { Loaded } from '../../ui/Loaded';
import { SnapshotTable } from './SnapshotTable';
import { VolumeTable } from './VolumeTable';
import { storageOf } from '../../lib/equivalents';
import { volumesOf } from '../../lib/volumes';
import { useOperator } from '../../lib/me';
import { t } from '../../strings';

/** The data that outlives workspaces: volumes and snapshots. */
export default function Storage() {
  const operator = useOperator();
  const volumes = useQuery(queries.volumes);
  const snapshots = useQuery(queries.snapshots);
  // On a shared daemon only the operator may use destinations.
  const copies = useQuery({ ...queries.copies, enabled: operator });
  const schedules = useQuery({ ...queries.copySchedules, enabled: operator });
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description={t.storage.what}
          actions={<AsCommand equivalents={storageOf()} />}
        >
          {t.pages.storage}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Loaded query={volumes} what={t.storage.volumes}>
          {(data) => <VolumeTable volumes={volumesOf(data)} />}
        </Loaded>
        <Loaded query={snapshots} what={t.storage.snapshots}>
          {(list) => <SnapshotTable snapshots={list} />}
        </Loaded>
        {copies.data !== undefined && <CopyTable copies={copies.data} />}
        {schedules.data !== undefined && <CopyScheduleTable schedules={schedules.data} />}
      </SpaceBetween>
    </ContentLayout>
  );
}

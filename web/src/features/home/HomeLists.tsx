import Grid from '@cloudscape-design/components/grid';

import type { Instance } from '../../api/client';
import { EventList } from '../events/EventList';
import { RunningList } from './RunningList';

/** What runs, and what has happened. */
export default function HomeLists({ list }: { readonly list: readonly Instance[] }) {
  return (
    <Grid gridDefinition={[{ colspan: { default: 12, l: 7 } }, { colspan: { default: 12, l: 5 } }]}>
      <RunningList list={list} />
      <EventList rows={12} />
    </Grid>
  );
}

import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { moment } from '../../lib/format';
import { t } from '../../strings';
import { ActivityFigureChart } from './ActivityFigureChart';
import { ActivityHours } from './ActivityHours';
import { ActivityPeriods } from './ActivityPeriods';
import { Loaded } from '../../ui/Loaded';

/** What a workspace did in the last 24 hours, and why that counted as work or not. */
export function ActivityDay({ workspace }: { readonly workspace: string }) {
  const query = useQuery(queries.activity(workspace));
  const again = (
    <Button
      iconName="refresh"
      ariaLabel={t.idle.readAgain}
      loading={query.isFetching}
      onClick={() => void query.refetch()}
    />
  );
  const asOf = query.data === undefined ? undefined : t.idle.dayAsOf(moment(query.data.until));
  return (
    <Container
      header={
        <Header variant="h2" description={asOf} actions={again}>
          {t.idle.day}
        </Header>
      }
    >
      <Loaded query={query} what={t.idle.day}>
        {(activity) => <Day activity={activity} />}
      </Loaded>
    </Container>
  );
}

function Day({ activity }: { readonly activity: Schemas['Activity'] }) {
  if (activity.points.length === 0) {
    return <Box color="text-body-secondary">{t.idle.dayEmpty}</Box>;
  }
  return (
    <SpaceBetween size="l">
      <ActivityHours activity={activity} />
      <ActivityFigureChart activity={activity} />
      <ActivityPeriods activity={activity} />
    </SpaceBetween>
  );
}

import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { usePostpone } from '../../lib/usePostpone';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { RelativeTime } from '../../ui/RelativeTime';

/** Why a workspace counts as busy or idle, and what will be done about it. */
export function IdlePanel({ instance }: { readonly instance: Instance }) {
  const query = useQuery(queries.idle(instance.workspace));
  const { idle: keepAwake } = usePostpone();
  const button = (
    <Button disabled={instance.state !== 'running'} onClick={() => void keepAwake.run(instance)}>
      {keepAwake.text}
    </Button>
  );
  return (
    <Container
      header={
        <Header variant="h2" actions={button}>
          {t.idle.title}
        </Header>
      }
    >
      <Loaded query={query} what={t.idle.title}>
        {(idle) => (
          <SpaceBetween size="l">
            <KeyValuePairs
              columns={4}
              items={[
                {
                  label: t.idle.verdictLabel,
                  value: t.idle.verdict(idle.verdict, idle.idle_minutes),
                },
                { label: t.idle.profile, value: idle.profile ?? t.none },
                {
                  label: t.idle.rule,
                  value: t.idle.ruleOf(idle.enabled, idle.action, idle.idle_threshold_minutes),
                },
                { label: t.idle.actsAt, value: <RelativeTime at={idle.acts_at} /> },
                { label: t.idle.judgedAt, value: <RelativeTime at={idle.judged_at} /> },
                { label: t.idle.awakeUntil, value: <RelativeTime at={idle.keep_awake_until} /> },
              ]}
            />
            {idle.because.length > 0 && (
              <div>
                <Box variant="h3">{t.idle.because}</Box>
                <ul>
                  {idle.because.map((why) => (
                    <li key={why}>{why}</li>
                  ))}
                </ul>
              </div>
            )}
            {idle.measured.length > 0 && (
              <Table
                variant="embedded"
                contentDensity="compact"
                items={idle.measured}
                trackBy="what"
                columnDefinitions={[
                  { id: 'what', header: t.idle.what, isRowHeader: true, cell: (it) => it.what },
                  {
                    id: 'value',
                    header: t.idle.value,
                    cell: (it) => (it.value === null ? t.unknown : `${it.value} ${it.unit}`),
                  },
                  { id: 'limit', header: t.idle.limit, cell: (it) => `${it.limit} ${it.unit}` },
                ]}
              />
            )}
          </SpaceBetween>
        )}
      </Loaded>
    </Container>
  );
}

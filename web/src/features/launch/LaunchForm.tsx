import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Grid from '@cloudscape-design/components/grid';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useNavigate } from 'react-router';

import { actions } from '../../api/actions';
import type { Instance, TemplateItem } from '../../api/client';
import { ApiError } from '../../api/errors';
import { queries } from '../../api/queries';
import { launch } from '../../lib/equivalents';
import { fieldsOf as fieldsOfOptions, readOptions } from '../../lib/launchOptions';
import { draftOf, favourite, pricesOf, orderOf } from '../../lib/order';
import { useDebounced } from '../../lib/useDebounced';
import { useSearch } from '../../lib/useSearch';
import { mayLaunch, useMe } from '../../lib/me';
import { t } from '../../strings';
import { AsCommand } from '../../ui/AsCommand';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { MoreAfter } from '../notices/MoreAfter';
import { LaunchFields } from './LaunchFields';
import { MoreOptions } from './MoreOptions';
import { PlanPanel } from './PlanPanel';
import { TemplatePicker } from './TemplatePicker';

const REST = 200; // milliseconds that the form rests before its price is asked for

/** From a template to a workspace: what it will be, what it costs, and one button. */
export function LaunchForm({
  templates,
  instances,
  provider: current,
  few,
}: {
  readonly templates: readonly TemplateItem[];
  readonly instances: readonly Instance[];
  /** Of the profile in use. */
  readonly provider: string;
  /** Show only the first templates, for a first launch. */
  readonly few: boolean;
}) {
  const [search, change] = useSearch();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const { data: profiles = [] } = useQuery(queries.profiles);
  const provider = profiles.find((it) => it.name === search.get('profile'))?.provider ?? current;
  const slug = search.get('template') ?? favourite(templates, provider);
  const me = useMe();
  const { data: projects = [] } = useQuery(queries.projects);
  // On a shared daemon, a project pays for everybody but the operator.
  const payer =
    me?.operator === true ? '' : (projects.find((it) => mayLaunch(me, it.id))?.name ?? '');
  const draft = useMemo(
    () => draftOf(search, slug, instances, payer),
    [search, slug, instances, payer],
  );
  const { data: template } = useQuery({ ...queries.template(slug), enabled: slug !== '' });
  const declared = useMemo(() => template?.resolved.parameters ?? {}, [template]);
  const options = useMemo(() => readOptions(search), [search]);
  const order = useMemo(
    () => orderOf(draft, fieldsOfOptions(options, declared)),
    [draft, options, declared],
  );
  const settled = useDebounced(order, REST);
  const plan = useQuery({
    ...queries.plan(settled),
    enabled:
      settled.name !== '' &&
      settled.template !== '' &&
      (me?.operator === true || settled.project !== undefined),
    placeholderData: (before, query) =>
      pricesOf(query?.queryKey[1], settled) ? before : undefined,
    retry: false,
    gcTime: 0,
    staleTime: 0,
  });
  const planned = settled === order && !plan.isPlaceholderData && !plan.isFetching;
  const ready = planned && plan.isSuccess;
  const fields = plan.error instanceof ApiError ? fieldsOf(plan.error) : new Map<string, string>();
  const edit = (changes: Readonly<Record<string, string | null>>) => {
    setError(null);
    change(changes);
  };
  const submit = async () => {
    if (!ready) return;
    setBusy(true);
    try {
      const { hourly } = plan.data;
      const launched = await actions.launch(
        hourly === null ? order : { ...order, max_hourly_rate: hourly },
      );
      client.setQueryData(
        queries.readyAt(launched.workspace).queryKey,
        launched.estimated_ready_time,
      );
      // The list is read anew, so that the next page knows the workspace it shows.
      await client.invalidateQueries(queries.instances);
      void navigate(`/workspaces/${order.name}`);
    } catch (problem) {
      setError(problem as Error);
      setBusy(false);
      void plan.refetch(); // the price may be another one now
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Grid
        gridDefinition={[{ colspan: { default: 12, xs: 7 } }, { colspan: { default: 12, xs: 5 } }]}
      >
        <SpaceBetween size="l">
          <TemplatePicker
            templates={templates}
            provider={provider}
            chosen={slug}
            few={few}
            choose={(template) => edit({ template, name: null })}
          />
          <Container header={<Header variant="h2">{t.launch.details}</Header>}>
            <LaunchFields
              draft={draft}
              order={settled}
              priced={plan.isSuccess && !plan.isPlaceholderData}
              compared={!plan.isPlaceholderData && !plan.isPending && fields.size === 0}
              errors={fields}
              edit={edit}
            />
            {!few && (
              <Box margin={{ top: 'm' }}>
                <MoreOptions options={options} declared={declared} errors={fields} edit={edit} />
              </Box>
            )}
          </Container>
        </SpaceBetween>
        <PlanPanel
          query={plan}
          order={order}
          hidden={fields.size > 0}
          footer={
            <SpaceBetween size="s">
              {error !== null && <ErrorAlert error={error} />}
              {error !== null && <MoreAfter error={error} project={order.project ?? ''} />}
              <SpaceBetween direction="horizontal" size="xs">
                <Button
                  variant="primary"
                  formAction="submit"
                  loading={busy}
                  loadingText={t.launch.busy}
                  disabled={order.name === '' || order.template === '' || !ready}
                >
                  {t.launch.go(order.name)}
                </Button>
                <AsCommand equivalents={[launch(order)]} />
              </SpaceBetween>
            </SpaceBetween>
          }
        />
      </Grid>
    </form>
  );
}

/** What is wrong with which field. */
function fieldsOf(error: ApiError): ReadonlyMap<string, string> {
  if (error.code === 'NAME_TAKEN') return new Map([['name', error.message]]);
  return error.fields;
}

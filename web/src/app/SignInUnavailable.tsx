import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { ApiError } from '../api/errors';
import { ErrorDetails } from '../components/ErrorAlert';
import { Remediation } from '../components/Remediation';
import { t } from '../strings';

/** The page if the daemon refuses the browser or does not answer. */
export function SignInUnavailable({
  error,
  retry,
}: {
  readonly error: Error;
  readonly retry: () => void;
}) {
  const team = error instanceof ApiError && error.status === 401;
  return (
    <main>
      <Box padding="xxl" margin="n">
        <Container header={<Header variant="h1">{t.product}</Header>}>
          <SpaceBetween size="m">
            <Alert
              type={team ? 'info' : 'error'}
              header={team ? t.team.title : error.message}
              action={<Button onClick={retry}>{t.tryAgain}</Button>}
            >
              {team ? t.team.why : <ErrorDetails error={error} />}
            </Alert>
            {team && (
              <div>
                <Box variant="h2">{t.team.works}</Box>
                {t.team.ways.map((way) => (
                  <Remediation key={way} text={way} />
                ))}
              </div>
            )}
          </SpaceBetween>
        </Container>
      </Box>
    </main>
  );
}

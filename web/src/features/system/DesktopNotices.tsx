import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import { useState } from 'react';

import { t } from '../../strings';

/** Whether this browser may show notices while the page is in the background. */
export function DesktopNotices() {
  const [permission, setPermission] = useState(
    'Notification' in window ? Notification.permission : 'denied',
  );
  const ask = () => {
    void Notification.requestPermission().then(setPermission);
  };
  const button = (
    <Button disabled={permission !== 'default'} onClick={ask}>
      {t.notices.allow}
    </Button>
  );
  return (
    <Container
      header={
        <Header variant="h2" description={t.notices.what} actions={button}>
          {t.notices.title}
        </Header>
      }
    >
      <Box>{t.notices.permission[permission]}</Box>
    </Container>
  );
}

package node

import (
	_ "github.com/sluicegate/sluicegate/broker/amqp"     // amqp://, amqps://
	_ "github.com/sluicegate/sluicegate/broker/kafka"    // kafka://
	_ "github.com/sluicegate/sluicegate/broker/memory"   // memory://
	_ "github.com/sluicegate/sluicegate/broker/mysql"    // mysql://, mariadb://
	_ "github.com/sluicegate/sluicegate/broker/nats"     // nats://
	_ "github.com/sluicegate/sluicegate/broker/postgres" // postgres://, postgresql://
	_ "github.com/sluicegate/sluicegate/broker/redis"    // redis://, rediss://
	_ "github.com/sluicegate/sluicegate/broker/sqlite"   // sqlite://
)
